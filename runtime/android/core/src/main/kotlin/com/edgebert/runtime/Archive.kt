package com.edgebert.runtime

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32

/** One file inside an archive; [offset] is where its data starts, counted from the start of the archive. */
internal class Entry(val name: String, val size: Long, val crc: Long, val offset: Long)

/**
 * The ZIP archive around a bundle, which has exactly one legal byte sequence for its contents (docs/bundle.md).
 *
 * Names, sizes and CRCs come from the central directory; every other byte of every header is derived again and
 * compared, so that a flipped byte, a gap, a lying size or a path outside the archive is found before any of it is
 * used. The data itself is checked by [check].
 *
 * @throws BundleException not an archive, or not exactly as `edgebert export` writes it.
 */
internal class Archive(private val source: Source) {
    val entries: Map<String, Entry> = readDirectory()

    /** The contents of `name` on the file's pages. They are checked once, by [check]. */
    fun map(name: String): ByteBuffer {
        val entry = find(name)
        return source.map(entry.offset, entry.size)
    }

    /** Reads the contents of `name` in order, a MiB at a time, and checks their CRC at the end. */
    fun check(name: String, each: (ByteArray) -> Unit) {
        val entry = find(name)
        val crc = CRC32()
        var at = 0L
        while (at < entry.size) {
            val chunk = source.bytes(entry.offset + at, minOf(CHUNK, entry.size - at).toInt())
            crc.update(chunk, 0, chunk.size)
            each(chunk)
            at += chunk.size
        }
        if (crc.value != entry.crc) throw source.bad("the contents of ${repr(name)} are damaged (wrong CRC)")
    }

    /** The contents of `name`, with their CRC checked; for small entries. */
    fun read(name: String): ByteArray {
        val size = find(name).size
        if (size > MOST_READ) throw source.bad("${repr(name)} has $size bytes; at most $MOST_READ are read")
        val into = ByteBuffer.allocate(size.toInt())
        check(name) { into.put(it) }
        return into.array()
    }

    private fun find(name: String): Entry = entries[name] ?: throw source.bad("it holds no ${repr(name)}")

    private fun readDirectory(): Map<String, Entry> {
        val size = source.size
        if (size < END) throw source.bad(if (size == 0L) "it is empty" else "it is not a bundle ($size bytes)")
        val tail = source.bytes(size - END, END)
        val fields = ByteBuffer.wrap(tail).order(ByteOrder.LITTLE_ENDIAN)
        if (fields.getInt(0) != END_SIGNATURE) throw notAnArchive()
        val count = fields.getShort(10).toInt() and 0xFFFF
        val length = fields.getInt(12).toLong() and UINT
        val start = fields.getInt(16).toLong() and UINT
        if (start + length + END != size) {
            throw source.bad("its directory claims $length bytes at $start, which does not fit a file of $size bytes")
        }
        if (count !in 1..MOST_ENTRIES || length > count.toLong() * (CENTRAL + MOST_NAME)) {
            throw source.bad("its directory claims $count entries in $length bytes")
        }
        if (!tail.contentEquals(endRecord(count, length, start))) throw source.bad("the end record is damaged")
        val directory = source.bytes(start, length.toInt())
        return checkLayout(parse(directory, count), directory, start)
    }

    private fun notAnArchive(): BundleException {
        val begin = ByteBuffer.wrap(source.bytes(0, 4)).order(ByteOrder.LITTLE_ENDIAN).getInt(0)
        return source.bad(
            if (begin == LOCAL_SIGNATURE) "the end of the archive is missing, so the file is truncated or damaged"
            else "it is not a bundle (an .edgebert file is a ZIP archive written by 'edgebert export')"
        )
    }

    /** What the directory says of each entry: all that is believed, and only until it is compared. */
    private fun parse(directory: ByteArray, count: Int): List<Entry> {
        val fields = ByteBuffer.wrap(directory).order(ByteOrder.LITTLE_ENDIAN)
        val found = ArrayList<Entry>()
        var at = 0
        for (number in 1..count) {
            if (at + CENTRAL > directory.size) throw source.bad("its directory ends before entry $number of $count")
            val length = fields.getShort(at + 28).toInt() and 0xFFFF
            val end = at + CENTRAL + length
            if (fields.getInt(at) != CENTRAL_SIGNATURE || end > directory.size) {
                throw source.bad("entry $number of its directory is damaged")
            }
            val name = ascii(directory.copyOfRange(at + CENTRAL, end))
            checkName(name)
            val size = fields.getInt(at + 24).toLong() and UINT
            found += Entry(name, size, fields.getInt(at + 16).toLong() and UINT, 0)
            at = end
        }
        return found
    }

    /** ASCII, every other byte written out, so that a message can hold it. */
    private fun ascii(raw: ByteArray): String = raw.joinToString("") {
        if (it >= 0) it.toInt().toChar().toString() else "\\x" + Integer.toHexString(it.toInt() and 0xFF)
    }

    private fun checkName(name: String) {
        if (name.length > MOST_NAME || !NAME.matches(name)) {
            throw source.bad(
                "the entry name ${repr(name.take(80))} is not allowed: a bundle names only files inside itself " +
                    "(letters, digits, '_', '-', '.', separated by '/', at most $MOST_NAME characters)"
            )
        }
    }

    /** Derives where everything must be and compares every byte of the headers; `end` is where the directory starts. */
    private fun checkLayout(found: List<Entry>, directory: ByteArray, end: Long): Map<String, Entry> {
        val names = found.map { it.name }
        val folded = names.map { it.lowercase(java.util.Locale.ROOT) }
        folded.withIndex().firstOrNull { (_, name) -> folded.count { it == name } > 1 }?.let { (index, _) ->
            throw source.bad("the entry name ${repr(names[index])} appears twice")
        }
        if (names != names.sortedWith(compareBy<String> { it != FIRST }.thenBy { it })) {
            throw source.bad("its entries are not in order, so another tool has packed it")
        }
        val entries = LinkedHashMap<String, Entry>()
        val expected = ByteBuffer.allocate(found.sumOf { CENTRAL + it.name.length })
        var start = 0L
        for (entry in found) {
            val header = localHeader(entry, start)
            val data = start + header.size
            if (data + entry.size > end) {
                throw source.bad("${repr(entry.name)} claims ${entry.size} bytes, more than the file holds")
            }
            if (!source.bytes(start, header.size).contentEquals(header)) {
                throw source.bad("the header of ${repr(entry.name)} is damaged or was written by another tool")
            }
            entries[entry.name] = Entry(entry.name, entry.size, entry.crc, data)
            expected.put(centralHeader(entry, start))
            start = data + entry.size
        }
        if (start != end) throw source.bad("${end - start} bytes before its directory belong to no entry")
        if (!expected.array().contentEquals(directory)) {
            throw source.bad("its directory is damaged or was written by another tool")
        }
        return entries
    }

    companion object {
        const val FIRST = "manifest.json"
        private const val CHUNK = 1L shl 20
        private const val MOST_READ = 64L shl 20
        private const val ALIGNMENT = 16 * 1024
        private const val MOST_ENTRIES = 1024
        private const val MOST_NAME = 200
        private const val UINT = 0xFFFF_FFFFL
        private const val LOCAL = 30
        private const val CENTRAL = 46
        private const val END = 22
        private const val EXTRA = 6
        private const val LOCAL_SIGNATURE = 0x04034B50
        private const val CENTRAL_SIGNATURE = 0x02014B50
        private const val END_SIGNATURE = 0x06054B50
        private const val VERSION: Short = 20
        private const val TIME_AND_DATE = 0x0021 shl 16 // 1980-01-01 00:00:00, the first moment a ZIP knows
        private const val ALIGNMENT_ID = 0xD935 // the extra field that zipalign and apksigner keep

        // Segments start with a letter, a digit or "_", so "..", "/etc" and hidden files cannot be written at all.
        private val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")

        private fun littleEndian(size: Int) = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)

        private fun localHeader(entry: Entry, start: Long): ByteArray {
            val name = entry.name.toByteArray(Charsets.US_ASCII)
            val unaligned = (start + LOCAL + name.size + EXTRA) % ALIGNMENT
            val extra = EXTRA + ((ALIGNMENT - unaligned) % ALIGNMENT).toInt()
            val header = littleEndian(LOCAL + name.size + extra)
            header.putInt(LOCAL_SIGNATURE).putShort(VERSION).putInt(0).putInt(TIME_AND_DATE)
            header.putInt(entry.crc.toInt()).putInt(entry.size.toInt()).putInt(entry.size.toInt())
            header.putShort(name.size.toShort()).putShort(extra.toShort()).put(name)
            header.putShort(ALIGNMENT_ID.toShort()).putShort((extra - 4).toShort()).putShort(ALIGNMENT.toShort())
            return header.array()
        }

        private fun centralHeader(entry: Entry, start: Long): ByteArray {
            val name = entry.name.toByteArray(Charsets.US_ASCII)
            val header = littleEndian(CENTRAL + name.size)
            header.putInt(CENTRAL_SIGNATURE).putShort(VERSION).putShort(VERSION).putInt(0).putInt(TIME_AND_DATE)
            header.putInt(entry.crc.toInt()).putInt(entry.size.toInt()).putInt(entry.size.toInt())
            header.putInt(name.size).putLong(0).putInt(0) // name and extra length; comment to attributes
            header.putInt(42, start.toInt())
            name.copyInto(header.array(), CENTRAL)
            return header.array()
        }

        private fun endRecord(count: Int, length: Long, start: Long): ByteArray {
            val record = littleEndian(END)
            record.putInt(END_SIGNATURE).putInt(0).putShort(count.toShort()).putShort(count.toShort())
            record.putInt(length.toInt()).putInt(start.toInt()).putShort(0)
            return record.array()
        }
    }
}
