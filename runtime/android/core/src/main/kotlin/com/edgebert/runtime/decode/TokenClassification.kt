package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.Piece
import com.edgebert.runtime.Text
import com.edgebert.runtime.checkPair

/**
 * The words of a text with their tags and, of BIO tags, the spans that they spell.
 *
 * @property words every word and its tag, in order.
 * @property spans what the tags spell. The probability of a span is the least of its words'; spans below the threshold
 *   are left out.
 */
public data class Tagging(public val words: List<Span>, public val spans: List<Span>) : Answer {
    /** True: what is not sure is left out of [spans]. */
    override val sure: Boolean get() = true

    override fun toJson(): Map<String, Any?> =
        linkedMapOf("words" to words.map { it.toJson() }, "spans" to spans.map { it.toJson() })

    /** The spans, such as "LOC[tampa bay 35:44]"; of plain tags, each word with its tag; "-" where there is none. */
    override fun summary(): String {
        if (spans.isNotEmpty()) {
            return spans.joinToString(" ") {
                "${it.label}[${onOneLine(it.text)} ${it.codePointStart}:${it.codePointEnd}]"
            }
        }
        val plain = words.filter { it.label != "O" && it.label.take(2) !in setOf("B-", "I-") }
        return plain.joinToString(" ") { "${it.text}/${it.label}" }.ifEmpty { "-" }
    }
}

internal class TokenClassificationDecoder(context: Context, private val output: String = "logits") : Decoder {
    private val labels = context.labels(output)
    private val threshold = context.threshold()
    private val temperature = context.temperature(output)

    override fun cut(text: Text, number: Int, featurizer: Featurizer): List<Piece> {
        checkPair(text, false)
        return cutAtWords(text, number, featurizer)
    }

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Tagging {
        val logits = asked.pieces.zip(outputs) { piece, given ->
            rowsOf(given.getValue(output), featurizer.spans(piece.text))
        }
        val maker = SpanMaker(asked.text.first)
        val words = answeredWords(asked, featurizer).map { word ->
            val (tag, probability) = best(logits[word.piece], word.row * labels.size)
            maker.span(labels[tag], probability, word.start, word.end)
        }
        val spans = spansOf(words.map { it.label }).mapNotNull { (label, first, last) ->
            val least = (first..last).minOf { words[it].probability }
            if (least < threshold) null else maker.span(label, least, words[first].start, words[last].end)
        }
        return Tagging(words, spans)
    }

    /** The most probable tag of the row that begins at `from` (of equal ones the first), and its probability. */
    private fun best(logits: FloatArray, from: Int): Pair<Int, Double> {
        val tag = labels.indices.maxBy { logits[from + it] }
        val largest = logits[from + tag].toDouble()
        return tag to 1 / labels.indices.sumOf { Math.exp((logits[from + it] - largest) / temperature) }
    }
}
