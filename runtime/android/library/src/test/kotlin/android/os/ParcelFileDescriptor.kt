package android.os

import java.io.Closeable
import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile

/** Plays Android's class of this name. */
class ParcelFileDescriptor private constructor(private val file: RandomAccessFile) : Closeable {
    val fileDescriptor: FileDescriptor get() = file.fd

    override fun close() {
        file.close()
    }

    companion object {
        const val MODE_READ_ONLY: Int = 0x10000000
        const val MODE_READ_WRITE: Int = 0x30000000

        @JvmStatic
        fun open(file: File, mode: Int): ParcelFileDescriptor =
            ParcelFileDescriptor(RandomAccessFile(file, if (mode == MODE_READ_ONLY) "r" else "rw"))
    }
}
