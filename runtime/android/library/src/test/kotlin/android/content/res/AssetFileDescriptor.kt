package android.content.res

import android.os.ParcelFileDescriptor
import java.io.Closeable
import java.io.FileDescriptor
import java.io.FileInputStream

/** Plays Android's class of this name. */
open class AssetFileDescriptor(
    private val file: ParcelFileDescriptor,
    val startOffset: Long,
    val length: Long,
) : Closeable {
    var closed: Boolean = false
        private set

    val fileDescriptor: FileDescriptor get() = file.fileDescriptor

    open fun createInputStream(): FileInputStream = FileInputStream(fileDescriptor)

    override fun close() {
        closed = true
        file.close()
    }
}
