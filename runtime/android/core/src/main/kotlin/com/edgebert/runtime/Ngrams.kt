package com.edgebert.runtime

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Words, word n-grams and character n-grams as rows of a counted vocabulary, in the core. */
internal class Ngrams private constructor(
    private val table: NgramTable,
    override val maxLength: Int,
    override val pair: Boolean,
) : Featurizer {
    override val inputs: List<InputSpec> = listOf("", "_b").take(if (pair) 2 else 1).flatMap { suffix ->
        table.channels.mapIndexed { index, channel ->
            InputSpec(channel.name + suffix, channel.perLength, table.rows(index))
        }
    }

    override fun features(text: Text, number: Int): Features {
        checkPair(text, pair)
        val found = LinkedHashMap<String, IntArray>()
        add(found, "", utf8(text.first, number), number)
        text.second?.let { add(found, "_b", utf8(it, number), number) }
        return found
    }

    /** A bag of n-grams has no tokens. */
    override fun spans(text: Text, cut: Boolean, number: Int): IntArray = IntArray(0)

    private fun add(found: MutableMap<String, IntArray>, suffix: String, text: ByteArray, number: Int) {
        for ((index, channel) in table.channels.withIndex()) {
            // More than fit are more than the manifest allows: said by the check of features, so all are kept.
            val room = channel.perLength * minOf(maxLength, 1 + text.size)
            found[channel.name + suffix] = filled(room, 1, number) { ids ->
                table.use { Core.ngramsIds(it, index, text, ids) }
            }
        }
    }

    companion object {
        fun fromSpec(spec: Spec, map: (String) -> ByteBuffer): Ngrams {
            val channels = spec.list("channels").map(NgramChannel::fromJson)
            val content = NgramTable.contentOf(map(spec.text("table")))
            val maxLength = spec.whole("max_length")
            val pair = spec.flag("pair")
            return Ngrams(NgramTable.open(content, channels, maxLength), maxLength, pair)
        }
    }
}

/**
 * What the core writes into an array of at first `room` ints and then as many as it says there are, `width` ints each.
 *
 * @throws DataException the core's sentence about text `number`.
 */
internal inline fun filled(room: Int, width: Int, number: Int, write: (IntArray) -> Long): IntArray {
    var found = IntArray(room)
    val count = write(found)
    coreError(count)?.let { throw DataException("text $number: $it") }
    if (width * count > found.size) {
        found = IntArray(Math.toIntExact(width * count))
        write(found)
    }
    return found.copyOf(width * count.toInt())
}

/** One kind of n-gram: of words or of characters, from `low` to `high` of them, with at most `rows` known ones. */
internal class NgramChannel(val name: String, val kind: Int, val low: Int, val high: Int, val rows: Int) {
    val perLength = if (kind == WORDS) high - low + 1 else CHARACTERS_PER_WORD

    companion object {
        const val WORDS = 0
        const val CHARACTERS = 1
        const val CHARACTERS_PER_WORD = 12 // EB_CHARS_PER_WORD
        private val KINDS = listOf("word", "char")

        @Suppress("UNCHECKED_CAST") // the parser makes no other keys
        fun fromJson(value: Any?): NgramChannel {
            val item = Spec(value as? Map<String, Any?> ?: throw Spec.Wrong("a channel must be a JSON object"))
            val orders = item.list("orders").map { (it as? Long)?.toInt() ?: 0 }
            val kind = KINDS.indexOf(item.text("kind"))
            val name = item.text("name")
            val rows = item.whole("rows")
            if (kind < 0 || orders.size != 2 || orders[0] < 1 || orders[1] !in orders[0]..8 || rows < 1) {
                throw Spec.Wrong(
                    "n-gram channel ${repr(name)}: kind must be word or char, 1 <= n <= 8, rows and width positive"
                )
            }
            return NgramChannel(name, kind, orders[0], orders[1], rows)
        }
    }
}

/** An open vocabulary of n-grams, which featurizers ask the core about. */
internal class NgramTable private constructor(
    private val table: ByteBuffer, // the memory below points into it
    private val memory: ByteBuffer,
    val channels: List<NgramChannel>,
) {
    /** Rows of a channel, row 0 (padding) included. */
    fun rows(channel: Int): Long = Core.ngramsRows(memory, channel)

    /** Hands out the core's handle. */
    inline fun <T> use(call: (ByteBuffer) -> T): T = try {
        call(memory)
    } finally {
        check(table.isDirect) // keeps the table mapped until the core has returned: a field only written may go
    }

    companion object {
        private const val MODEL_MAGIC = 0x4E4E4245 // EBNN
        private const val TABLE_MAGIC = 0x474E4245 // EBNG
        private const val SECTION = 1

        /** A table that must be of these channels, for texts of so many words. */
        fun open(content: ByteBuffer, channels: List<NgramChannel>, maxLength: Int): NgramTable {
            checkLengths(1, maxLength, 1)
            checkHeader(content, channels, maxLength)
            val memory = directMemory(Core.ngramsSize())
            val status = Core.ngramsOpen(memory, content, 0, content.capacity().toLong())
            coreError(status.toLong())?.let { throw Spec.Wrong(it) }
            val made = NgramTable(content, memory, channels)
            for ((index, channel) in channels.withIndex()) {
                if (made.rows(index) > channel.rows + 1L) {
                    throw Spec.Wrong("the table of channel ${repr(channel.name)} has too many rows")
                }
            }
            return made
        }

        /** The vocabulary in a file: the whole of an ngrams.bin, one section of a native model. */
        fun contentOf(content: ByteBuffer): ByteBuffer {
            val file = content.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            if (file.capacity() < 4 || file.getInt(0) != MODEL_MAGIC) return content
            val count = if (file.capacity() < 128) 0 else file.getInt(24).toLong() and 0xFFFF_FFFFL
            var at = 128
            while (at < 128 + 32 * count && at + 32 <= file.capacity()) {
                val (offset, size) = file.getLong(at + 8) to file.getLong(at + 16)
                if (file.getInt(at) == SECTION && offset in 0..file.capacity() && size in 0..file.capacity() - offset) {
                    return slice(file, offset.toInt(), size.toInt())
                }
                at += 32
            }
            throw Spec.Wrong("the model holds no vocabulary")
        }

        private fun slice(file: ByteBuffer, offset: Int, size: Int): ByteBuffer {
            val part = file.duplicate()
            part.limit(offset + size)
            part.position(offset)
            return part.slice()
        }

        /** Compares a table's header with what the manifest says of it; the core checks the rest. */
        private fun checkHeader(content: ByteBuffer, channels: List<NgramChannel>, maxLength: Int) {
            val table = content.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            if (channels.isEmpty() || table.capacity() < 64 + 32 * channels.size) {
                throw Spec.Wrong("the n-gram table is too short")
            }
            if (table.getInt(0) != TABLE_MAGIC || table.getInt(8) != channels.size) {
                throw Spec.Wrong("the n-gram table is not a table of ${channels.size} channels")
            }
            if (table.getInt(12) != maxLength) {
                val length = table.getInt(12).toLong() and 0xFFFF_FFFFL
                throw Spec.Wrong("the n-gram table is for texts of $length words, not $maxLength")
            }
            for ((index, channel) in channels.withIndex()) {
                val found = List(3) { table.getInt(64 + 32 * index + 4 * it) }
                if (found != listOf(channel.kind, channel.low, channel.high)) {
                    throw Spec.Wrong("the n-gram table holds other n-grams for channel ${repr(channel.name)}")
                }
            }
        }
    }
}
