package com.edgebert.runtime

import java.nio.ByteBuffer

/** Text to ids: what stands between a string and a graph. Safe from several threads. */
public interface Featurizer {
    /** The graph's inputs, in the order of its arguments. */
    public val inputs: List<InputSpec>

    /** Tokens (WordPiece) or words (n-grams) read of a text. */
    public val maxLength: Int

    /** Whether it takes pairs of texts. */
    public val pair: Boolean

    /**
     * Ids by input name, at most `perLength * maxLength` of each, without padding.
     *
     * @param number counts the texts from 1; for messages.
     * @throws DataException a pair where one text is taken, or the reverse; a text that is not valid Unicode.
     */
    public fun features(text: Text, number: Int = 1): Features
}

/**
 * The featurizer that a manifest describes; `map` gives an entry of the bundle in place.
 *
 * @throws BundleException an unknown type, a missing or wrong field, a damaged table.
 */
internal fun loadFeaturizer(spec: Map<String, Any?>, map: (String) -> ByteBuffer): Featurizer {
    val kind = spec["type"]
    CoreLibrary.load()
    return try {
        when (kind) {
            "wordpiece" -> WordPiece.fromSpec(Spec(spec), map)
            "ngram" -> Ngrams.fromSpec(Spec(spec), map)
            else -> throw BundleException("featurizer type ${repr(kind)} is unknown; known: wordpiece, ngram")
        }
    } catch (error: Spec.Wrong) {
        throw BundleException("the $kind featurizer cannot be read: ${error.message}", error)
    }
}

/** The fields of a featurizer in a manifest. */
internal class Spec(private val fields: Map<String, Any?>) {
    class Wrong(message: String) : Exception(message)

    fun text(name: String): String = of(name, "a text")
    fun flag(name: String): Boolean = of(name, "true or false")
    fun flagOrNull(name: String): Boolean? = if (fields[name] == null && name in fields) null else flag(name)
    fun list(name: String): List<Any?> = of(name, "a list")

    fun whole(name: String): Int {
        val value: Long = of(name, "a whole number")
        if (value !in 0..1_000_000) throw Wrong("${repr(name)} must be from 0 to 1,000,000, not $value")
        return value.toInt()
    }

    private inline fun <reified T> of(name: String, what: String): T {
        if (name !in fields) throw Wrong("${repr(name)} is missing")
        return fields[name] as? T ?: throw Wrong("${repr(name)} must be $what, not ${repr(fields[name]).cut(80)}")
    }
}

internal fun checkLengths(least: Int, most: Int, smallest: Int) {
    if (least !in 1..most || most > 1_000_000 || most < smallest) {
        throw Spec.Wrong("min_length $least and max_length $most are impossible (the least is $smallest)")
    }
}

/** The second text, when the model takes pairs. */
internal fun checkPair(text: Text, pair: Boolean) {
    if (pair == (text.second != null)) return
    throw DataException(
        if (pair) "this model takes pairs of texts: give (text_a, text_b)" else "this model takes one text, not a pair"
    )
}

/** The smallest `length` whose padded inputs hold these features; at least 1. */
internal fun lengthOf(features: Features, inputs: List<InputSpec>): Int =
    maxOf(1, inputs.maxOf { (features.getValue(it.name).size + it.perLength - 1) / it.perLength })

/** Direct memory for a handle of the core. */
internal fun directMemory(bytes: Long): ByteBuffer = ByteBuffer.allocateDirect(Math.toIntExact(bytes))

/** BERT's tokenizer, in the core: inputs `input_ids`, `attention_mask` and, for pairs, `token_type_ids`. */
internal class WordPiece private constructor(
    private val memory: ByteBuffer,
    entries: Int,
    override val maxLength: Int,
    override val pair: Boolean,
) : Featurizer {
    override val inputs: List<InputSpec> = listOfNotNull(
        InputSpec("input_ids", 1, entries.toLong()),
        InputSpec("attention_mask", 1, 2),
        if (pair) InputSpec("token_type_ids", 1, 2) else null,
    )

    override fun features(text: Text, number: Int): Features {
        checkPair(text, pair)
        val ids = IntArray(maxLength)
        val types = if (pair) IntArray(maxLength) else null
        val second = text.second?.let { utf8(it, number) }
        val count = Core.wordpieceIds(memory, utf8(text.first, number), second, ids, types, IntArray(4 * maxLength))
        coreError(count)?.let { throw DataException("text $number: $it") }
        val length = count.toInt()
        val found = mutableMapOf("input_ids" to ids.copyOf(length), "attention_mask" to IntArray(length) { 1 })
        if (types != null) found["token_type_ids"] = types.copyOf(length)
        return found
    }

    companion object {
        private const val LOWERCASE = 1
        private const val STRIP_ACCENTS = 2
        private val SPECIAL = listOf("[PAD]", "[UNK]", "[CLS]", "[SEP]")

        fun fromSpec(spec: Spec, map: (String) -> ByteBuffer): WordPiece {
            val file = map(spec.text("vocab"))
            val vocabulary = lines(file)
            for (token in SPECIAL) if (token !in vocabulary) throw Spec.Wrong("the vocabulary has no $token entry")
            if (vocabulary[0] != "[PAD]") throw Spec.Wrong("the first vocabulary entry must be [PAD]")
            val maxLength = spec.whole("max_length")
            checkLengths(spec.whole("min_length"), maxLength, 4) // a token besides [CLS] and the two [SEP] of a pair
            val lowercase = spec.flag("lowercase")
            val accents = spec.flagOrNull("strip_accents") ?: lowercase
            val flags = (if (lowercase) LOWERCASE else 0) or (if (accents) STRIP_ACCENTS else 0)
            return WordPiece(open(file, flags), vocabulary.size, maxLength, spec.flag("pair"))
        }

        private fun open(file: ByteBuffer, flags: Int): ByteBuffer {
            val length = file.capacity().toLong()
            val size = Core.wordpieceSize(file, 0, length)
            coreError(size)?.let { throw Spec.Wrong(it) }
            val memory = directMemory(size)
            coreError(Core.wordpieceMake(memory, file, 0, length, flags).toLong())?.let { throw Spec.Wrong(it) }
            return memory
        }

        private fun lines(file: ByteBuffer): List<String> {
            val text = Charsets.UTF_8.decode(file.duplicate()).toString()
            return text.removeSuffix("\n").split("\n")
        }
    }
}

/** Words, word n-grams and character n-grams as rows of a counted vocabulary, in the core. */
internal class Ngrams private constructor(
    private val table: ByteBuffer, // the memory below points into it
    private val memory: ByteBuffer,
    private val names: List<String>,
    override val inputs: List<InputSpec>,
    override val maxLength: Int,
    override val pair: Boolean,
) : Featurizer {

    override fun features(text: Text, number: Int): Features {
        checkPair(text, pair)
        val found = LinkedHashMap<String, IntArray>()
        try {
            add(found, "", utf8(text.first, number), number)
            text.second?.let { add(found, "_b", utf8(it, number), number) }
        } finally {
            check(table.isDirect) // keeps the table mapped until the core has returned: a field only written may go
        }
        return found
    }

    private fun add(found: MutableMap<String, IntArray>, suffix: String, text: ByteArray, number: Int) {
        for ((channel, name) in names.withIndex()) {
            var ids = IntArray(inputs[channel].perLength * minOf(maxLength, 1 + text.size))
            val count = Core.ngramsIds(memory, channel, text, ids)
            coreError(count)?.let { throw DataException("text $number: $it") }
            if (count > ids.size) { // more than the manifest allows: said by the check of features, so keep them all
                ids = IntArray(count.toInt())
                Core.ngramsIds(memory, channel, text, ids)
            }
            found[name + suffix] = ids.copyOf(count.toInt())
        }
    }

    companion object {
        private const val CHARACTERS_PER_WORD = 12 // EB_CHARS_PER_WORD
        private const val MODEL_MAGIC = 0x4E4E4245 // EBNN
        private const val TABLE_MAGIC = 0x474E4245 // EBNG
        private const val SECTION = 1
        private val KINDS = listOf("word", "char")

        private class Channel(val name: String, val kind: Int, val low: Int, val high: Int, val rows: Int) {
            val perLength = if (kind == 0) high - low + 1 else CHARACTERS_PER_WORD
        }

        fun fromSpec(spec: Spec, map: (String) -> ByteBuffer): Ngrams {
            val channels = spec.list("channels").map(::channel)
            val table = tableOf(map(spec.text("table")))
            val maxLength = spec.whole("max_length")
            val pair = spec.flag("pair")
            checkLengths(1, maxLength, 1)
            checkTable(table, channels, maxLength)
            val memory = directMemory(Core.ngramsSize())
            val status = Core.ngramsOpen(memory, table, 0, table.capacity().toLong())
            coreError(status.toLong())?.let { throw Spec.Wrong(it) }
            val inputs = listOf("", "_b").take(if (pair) 2 else 1).flatMap { suffix ->
                channels.mapIndexed { index, channel ->
                    val rows = Core.ngramsRows(memory, index)
                    if (rows > channel.rows + 1L) {
                        throw Spec.Wrong("the table of channel ${repr(channel.name)} has too many rows")
                    }
                    InputSpec(channel.name + suffix, channel.perLength, rows)
                }
            }
            return Ngrams(table, memory, channels.map { it.name }, inputs, maxLength, pair)
        }

        @Suppress("UNCHECKED_CAST") // the parser makes no other keys
        private fun channel(value: Any?): Channel {
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
            return Channel(name, kind, orders[0], orders[1], rows)
        }

        /** The vocabulary in a file: the whole of an ngrams.bin, one section of a native model. */
        private fun tableOf(content: ByteBuffer): ByteBuffer {
            val file = content.duplicate().order(java.nio.ByteOrder.LITTLE_ENDIAN)
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
        private fun checkTable(content: ByteBuffer, channels: List<Channel>, maxLength: Int) {
            val table = content.duplicate().order(java.nio.ByteOrder.LITTLE_ENDIAN)
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
