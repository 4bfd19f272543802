package com.edgebert.runtime

import java.nio.ByteBuffer

/** BERT's tokenizer, in the core: inputs `input_ids`, `attention_mask` and, for pairs, `token_type_ids`. */
internal class WordPiece private constructor(
    private val memory: ByteBuffer,
    entries: Int,
    words: Lazy<List<String>>,
    override val maxLength: Int,
    override val pair: Boolean,
) : Featurizer {
    override val inputs: List<InputSpec> = listOfNotNull(
        InputSpec("input_ids", 1, entries.toLong()),
        InputSpec("attention_mask", 1, 2),
        if (pair) InputSpec("token_type_ids", 1, 2) else null,
    )

    /** Every token, by its id. */
    val vocabulary: List<String> by words

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

    override fun spans(text: Text, cut: Boolean, number: Int): IntArray {
        checkPair(text, pair)
        var halves = listOfNotNull(text.first, text.second).map { tokens(it, number) }
        val room = maxLength - 1 - halves.size
        if (cut && halves.sumOf { it.size } > 4 * room) {
            val kept = if (pair) keptOfPair(text, number) else listOf(room)
            halves = halves.zip(kept) { tokens, count -> tokens.copyOf(4 * count) }
        }
        val spans = IntArray(4 * (1 + halves.size) + halves.sumOf { it.size })
        var at = 0
        for (half in -1 until halves.size) { // [CLS], then each half and its [SEP]
            if (half >= 0) {
                halves[half].copyInto(spans, at)
                for (token in at until at + halves[half].size step 4) spans[token] = half
                at += halves[half].size
            }
            spans.fill(-1, at, at + 2)
            at += 4
        }
        return spans
    }

    /** Id, word, start, end of each token of a text, without [CLS] and [SEP]. */
    private fun tokens(text: String, number: Int): IntArray {
        val bytes = utf8(text, number)
        return filled(4 * (1 + bytes.size), 4, number) { Core.wordpieceTokens(memory, bytes, UTF16, it) }
    }

    /** How many tokens of each half of a pair [features] keeps, which the core alone decides. */
    private fun keptOfPair(text: Text, number: Int): List<Int> {
        val types = features(text, number).getValue("token_type_ids")
        val behind = types.sum()
        return listOf(types.size - behind - 2, behind - 1)
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
            return WordPiece(open(file, flags), vocabulary.size, lazy { lines(file) }, maxLength, spec.flag("pair"))
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
