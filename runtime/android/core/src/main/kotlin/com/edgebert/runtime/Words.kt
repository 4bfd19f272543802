package com.edgebert.runtime

import java.nio.ByteBuffer

/** Each word of a text with its row, the rows of its character n-grams and its shape: what a BiLSTM reads. */
internal class Words private constructor(private val table: NgramTable, override val maxLength: Int) : Featurizer {
    /** The row of every unknown word, behind those of the known ones. */
    private val unknown = table.rows(0).toInt()

    override val pair: Boolean get() = false

    override val inputs: List<InputSpec> = listOf(
        InputSpec(table.channels[0].name, 1, unknown + 1L),
        InputSpec(table.channels[1].name, NgramChannel.CHARACTERS_PER_WORD, table.rows(1)),
        InputSpec("shape_ids", 1, SHAPES + 1L),
    )

    override fun features(text: Text, number: Int): Features {
        val words = words(text, true, number)
        val count = words.size / ENTRY
        val characters = NgramChannel.CHARACTERS_PER_WORD
        return mapOf(
            inputs[0].name to IntArray(count) { words[ENTRY * it + ROW].let { row -> if (row > 0) row else unknown } },
            inputs[1].name to IntArray(characters * count) {
                words[ENTRY * (it / characters) + CHARACTERS + it % characters]
            },
            inputs[2].name to IntArray(count) { words[ENTRY * it + SHAPE] },
        )
    }

    override fun spans(text: Text, cut: Boolean, number: Int): IntArray {
        val words = words(text, cut, number)
        val spans = IntArray(4 * (words.size / ENTRY))
        for (word in 0 until words.size / ENTRY) {
            spans[4 * word + 1] = word
            words.copyInto(spans, 4 * word + 2, ENTRY * word, ENTRY * word + 2)
        }
        return spans
    }

    private fun words(text: Text, cut: Boolean, number: Int): IntArray {
        checkPair(text, false)
        val bytes = utf8(text.first, number)
        val found = filled(ENTRY * minOf(maxLength, 1 + bytes.size), ENTRY, number) { out ->
            table.use { Core.ngramsWords(it, 0, 1, bytes, UTF16, out) }
        }
        return if (cut) found.copyOf(minOf(found.size, ENTRY * maxLength)) else found
    }

    companion object {
        private const val SHAPES = 7 // eb_shape, counted from 1

        // An eb_word: start, end, row, rows of its characters, shape.
        private const val ENTRY = 16
        private const val ROW = 2
        private const val CHARACTERS = 3
        private const val SHAPE = 15

        fun fromSpec(spec: Spec, map: (String) -> ByteBuffer): Words {
            val channels = spec.list("channels").map(NgramChannel::fromJson)
            val content = map(spec.text("table"))
            val maxLength = spec.whole("max_length")
            checkLengths(1, maxLength, 1)
            val words = channels.firstOrNull()
            val single = words?.kind == NgramChannel.WORDS && words.high == 1
            if (channels.size != 2 || !single || channels[1].kind != NgramChannel.CHARACTERS) {
                throw Spec.Wrong("the channels must be two: single words, then characters")
            }
            return Words(NgramTable.open(content, channels, maxLength), maxLength)
        }
    }
}
