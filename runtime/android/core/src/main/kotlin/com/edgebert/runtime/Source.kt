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
        fill(into, offset)
        return into.array()
    }

    private fun fill(into: ByteBuffer, offset: Long) = reading {
        while (into.hasRemaining()) {
            if (channel.read(into, start + offset + into.position()) < 0) throw shorter()
        }
    }

    /**
     * The same bytes as a read-only direct buffer, which stays valid when the file is closed: on the file's pages where
     * they lie at a multiple of 8 bytes, else copied. The core wants that multiple; Android's own build tools align an
     * asset to 4 bytes only, and a mapping keeps its place within the page.
     */
    fun map(offset: Long, length: Long): ByteBuffer {
        if (length > Int.MAX_VALUE) throw BundleException("$name: an entry of $length bytes is too large to be mapped")
        if ((start + offset) % ALIGNMENT != 0L) {
            val copy = ByteBuffer.allocateDirect(length.toInt()) // at a multiple of 8, on Android as on a desktop
            fill(copy, offset)
            copy.rewind()
            return copy.asReadOnlyBuffer()
        }
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
        private const val ALIGNMENT = 8

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
