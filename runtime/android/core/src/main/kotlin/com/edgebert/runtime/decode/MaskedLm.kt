package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.DataException
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.Piece
import com.edgebert.runtime.Text
import com.edgebert.runtime.WordPiece
import com.edgebert.runtime.decimals

/**
 * A word that may fill a gap.
 *
 * @property word of the vocabulary; one that begins with "##" goes on with the word before the gap.
 * @property probability 0 to 1.
 */
public data class Guess(public val word: String, public val probability: Double)

/**
 * A [MASK] of a text.
 *
 * @property words those that fit best, the best one first.
 * @property span where it stands; its label and probability are those of the best word.
 */
public data class Gap(public val words: List<Guess>, public val span: Span) {
    /** The gap as plain JSON. */
    public fun toJson(): Map<String, Any?> =
        mapOf("words" to words.map { mapOf("word" to it.word, "probability" to it.probability) }) + places(span)
}

/**
 * What fits in the gaps of a text.
 *
 * @property gaps in their order.
 */
public data class Filled(public val gaps: List<Gap>) : Answer {
    /** True: a guess is one of many. */
    override val sure: Boolean get() = true

    override fun toJson(): Map<String, Any?> = mapOf("gaps" to gaps.map { it.toJson() })

    /** The words of each gap with their probabilities, " | " between two gaps; "-" where there is none. */
    override fun summary(): String = gaps.joinToString(" | ") { gap ->
        gap.words.joinToString("  ") { "${it.word} ${decimals(it.probability, 4)}" }
    }.ifEmpty { "-" }
}

/** The tokenizer reads "[MASK]" in a text as the token of that name, so nothing but the text says what is asked. */
internal class MaskedLmDecoder : Decoder {
    override fun check(text: Text, number: Int) {
        if (MASK in text.first) return
        throw DataException("text $number holds no $MASK. Write $MASK where a word is missing.")
    }

    override fun cut(text: Text, number: Int, featurizer: Featurizer): List<Piece> =
        cutAtWords(text, number, featurizer)

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Filled {
        val vocabulary = (featurizer as? WordPiece)?.vocabulary.orEmpty()
        val mask = vocabulary.indexOf(MASK)
        if (mask < 0) throw BundleException("its task masked-lm needs a tokenizer with the token $MASK")
        val found = asked.pieces.flatMapIndexed { number, piece -> gaps(piece, number, mask, featurizer) }
        val maker = SpanMaker(asked.text.first)
        return Filled(
            mostContext(found).map { gap ->
                val output = outputs[gap.piece].getValue("logits")
                val spans = featurizer.spans(asked.pieces[gap.piece].text)
                val words = best(rowsOf(output, spans), gap.row * output.shape[1], output.shape[1], vocabulary)
                Gap(words, maker.span(words[0].word, words[0].probability, gap.start, gap.end))
            }
        )
    }

    private fun gaps(piece: Piece, number: Int, mask: Int, featurizer: Featurizer): List<Word> {
        val ids = featurizer.features(piece.text).getValue("input_ids")
        val spans = featurizer.spans(piece.text)
        return ids.indices.filter { ids[it] == mask }.map { token ->
            val (start, end) = spans[4 * token + 2] to spans[4 * token + 3]
            Word(piece.start + start, piece.start + end, number, token, minOf(token, ids.size - 1 - token))
        }
    }

    /** The best words of the row that begins at `from`; some networks have columns left over. */
    private fun best(logits: FloatArray, from: Int, width: Int, vocabulary: List<String>): List<Guess> {
        val shares = softmax(DoubleArray(width) { logits[from + it].toDouble() })
        val named = minOf(width, vocabulary.size)
        return List(minOf(BEST, named)) {
            var largest = 0
            for (column in 1 until named) if (shares[column] > shares[largest]) largest = column
            Guess(vocabulary[largest], shares[largest]).also { shares[largest] = -1.0 }
        }
    }

    private companion object {
        const val MASK = "[MASK]"

        /** Words of a gap. */
        const val BEST = 5
    }
}
