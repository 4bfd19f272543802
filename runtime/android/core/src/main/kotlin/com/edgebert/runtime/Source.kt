package com.edgebert.runtime

import java.io.Closeable
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.ClosedChannelException
import java.nio.channels.FileChannel

/**
 * The bytes of a bundle: a part of an open file, from `start` on, `size` bytes long. `name` stands in messages.
 * Reads are positional, so several threads may read at once.
 */
internal class Source(
    val name: String,
    private val channel: FileChannel,
    private val start: Long,
    val size: Long,
    private val owner: Closeable,
) : Closeable {

    /** Exactly `length` bytes from `offset` on; callers have compared both numbers with `size`. */
    fun bytes(offset: Long, length: Int): ByteArray {
        val into = ByteBuffer.allocate(length)
        reading {
            while (into.hasRemaining()) {
                if (channel.read(into, start + offset + into.position()) < 0) throw shorter()
            }
        }
        return into.array()
    }

    /** The same bytes in place: a read-only buffer on the file's pages, which stays valid when the file is closed. */
    fun map(offset: Long, length: Long): ByteBuffer {
        if (length > Int.MAX_VALUE) throw BundleException("$name: an entry of $length bytes is too large to be mapped")
        // A page that has gone cannot be told from one that can be read: reading it would end the process.
        return reading {
            if (channel.size() < start + offset + length) throw shorter()
            channel.map(FileChannel.MapMode.READ_ONLY, start + offset, length)
        }
    }

    override fun close() {
        channel.close() // first: the owner's descriptor may be another file's as soon as it is closed
        owner.close()
    }

    fun bad(reason: String): BundleException = BundleException("$name: $reason. Copy or export the bundle again.")

    private fun shorter() = bad("the file became shorter while it was read")

    private fun <T> reading(read: () -> T): T = try {
        read()
    } catch (error: ClosedChannelException) {
        throw BundleException("$name: the bundle is closed. Open it again.", error)
    } catch (error: IOException) {
        throw BundleException("cannot read $name: ${error.message}", error)
    }

    companion object {
        /** Opens a regular file only: a folder has no bytes, and a pipe would block for ever. */
        fun of(file: File): Source {
            val name = file.path
            if (!file.exists()) throw BundleException("$name: no such file. Check the path of the bundle.")
            if (file.isDirectory) {
                throw BundleException("$name is a folder, not a bundle. Give the .edgebert file itself.")
            }
            if (!file.isFile) throw BundleException("$name is not a regular file, so it cannot be a bundle.")
            try {
                val stream = FileInputStream(file)
                return Source(name, stream.channel, 0, stream.channel.size(), stream)
            } catch (error: IOException) {
                throw BundleException("cannot read ${repr(name)}: ${error.message}", error)
            }
        }
    }
}
