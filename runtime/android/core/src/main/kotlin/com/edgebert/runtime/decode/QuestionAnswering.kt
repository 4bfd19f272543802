package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.DataException
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.Piece
import com.edgebert.runtime.Text
import com.edgebert.runtime.checkPair
import com.edgebert.runtime.decimals

/**
 * The stretch of a context that answers a question.
 *
 * @property span the stretch, with no label; empty where the context has no answer, and where the model is not sure.
 *   Its probability is that of this answer, or of there being none; of what was found where the model is not sure.
 * @property best the best answers, each with another text, whatever was decided.
 * @property sure see [Answer.sure].
 */
public data class FoundAnswer(
    public val span: Span,
    public val best: List<Span>,
    override val sure: Boolean = true,
) : Answer {
    /** The answer; empty where there is none. */
    public val text: String get() = span.text

    /** With the first of [best]. */
    override fun toJson(): Map<String, Any?> = linkedMapOf<String, Any?>("text" to text) + places(span) + mapOf(
        "probability" to span.probability, "sure" to sure, "best" to best.take(SHOWN).map(::candidate),
    )

    private fun candidate(span: Span): Map<String, Any?> = linkedMapOf(
        "text" to span.text, "start" to span.codePointStart, "end" to span.codePointEnd,
        "probability" to span.probability,
    )

    /** The answer ("-" where there is none) and its probability, with a tab between. */
    override fun summary(): String = "${onOneLine(text).ifEmpty { "-" }}\t${decimals(span.probability, 4)}"

    private companion object {
        const val SHOWN = 5
    }
}

internal class QuestionAnsweringDecoder(context: Context) : Decoder {
    private val threshold = context.threshold()
    private val temperature = context.temperature("logits")

    /** How much better "no answer" must be than the best one; null for a model that always answers. */
    private val bar = context.number("no_answer", default = 0.0).takeIf { context.setting("no_answer") != null }

    /** The beginning of the question with each window of its context. */
    override fun cut(text: Text, number: Int, featurizer: Featurizer): List<Piece> {
        checkPair(text, featurizer.pair)
        val second = text.second
            ?: throw DataException("this model takes pairs of texts: give (question, context)")
        val free = featurizer.maxLength - featurizer.spans(Text("", ""), false, number).size / 4
        val spans = featurizer.spans(text, false, number)
        val (question, tokens) = beginning(text.first, half(spans, 0), minOf(QUESTION, free / 2))
        val room = free - tokens
        val overlap = if (room > 2 * OVERLAP) OVERLAP else room / 4
        return windows(half(spans, 1), second.length, room, overlap).map { (start, end) ->
            Piece(Text(question, second.substring(start, end)), start)
        }
    }

    /** The rows from the first to the last token of a half. */
    private fun half(spans: IntArray, half: Int): IntArray {
        val inside = (0 until spans.size step 4).filter { spans[it] == half }
        return if (inside.isEmpty()) spans.copyOf(0) else spans.copyOfRange(inside.first(), inside.last() + 4)
    }

    /**
     * What the first `most` tokens of a text are made of, and how many they are: fewer if one code point has several. A
     * tokenizer takes the longest piece of a word that it knows, so the beginning of a word begins with the same ones.
     */
    private fun beginning(text: String, spans: IntArray, most: Int): Pair<String, Int> {
        if (spans.size <= 4 * most) return text to spans.size / 4
        var found = "" to 0
        var end = 0
        for (token in 0 until most) {
            end = maxOf(end, spans[4 * token + 3])
            if (spans[4 * token + 6] >= end) found = text.substring(0, end) to token + 1
        }
        return found
    }

    /** An answer that may be given; indices of the context. */
    private class Candidate(val start: Int, val end: Int, val score: Double)

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): FoundAnswer {
        val context = asked.text.second.orEmpty()
        var none = Double.POSITIVE_INFINITY
        val all = asked.pieces.zip(outputs).flatMap { (piece, given) ->
            val spans = featurizer.spans(piece.text)
            val numbers = rowsOf(given.getValue("logits"), spans)
            if (numbers.isEmpty()) throw BundleException("the featurizer gives no tokens, and its task needs them")
            none = minOf(none, numbers[0].toDouble() + numbers[1])
            candidates(numbers, spans, piece.start)
        }
        // Of equal scores the earlier; each with another text.
        val best = all.sortedByDescending { it.score }.distinctBy { context.substring(it.start, it.end) }.take(KEPT)
        return answer(context, best, none)
    }

    /** The pairs of the best starts and ends of one window that may belong together, by their starts and ends. */
    private fun candidates(numbers: FloatArray, spans: IntArray, offset: Int): List<Candidate> {
        val inside = (0 until spans.size / 4).filter { spans[4 * it] == 1 }
        val ends = IntArray(inside.size)
        for ((place, token) in inside.withIndex()) {
            ends[place] = maxOf(if (place == 0) 0 else ends[place - 1], spans[4 * token + 3])
        }
        val (starts, stops) = listOf(0, 1).map { column ->
            inside.indices.sortedByDescending { numbers[2 * inside[it] + column] }.take(KEPT).sorted()
        }
        return starts.flatMap { first ->
            stops.filter { it - first in 0 until LONGEST }.map { last ->
                val score = numbers[2 * inside[first]].toDouble() + numbers[2 * inside[last] + 1]
                Candidate(spans[4 * inside[first] + 2] + offset, ends[last] + offset, score)
            }
        }
    }

    private fun answer(context: String, best: List<Candidate>, none: Double): FoundAnswer {
        val silent = best.isEmpty() || (bar != null && none - best[0].score > bar)
        val scores = best.map { it.score } + if (bar == null) emptyList() else listOf(none)
        val probabilities = softmax(DoubleArray(scores.size) { scores[it] / temperature })
        val probability = (if (silent) probabilities.lastOrNull() else probabilities[0]) ?: 0.0
        val sure = probability >= threshold
        val maker = SpanMaker(context)
        val spans = best.zip(probabilities.asList()) { one, its -> maker.span("", its, one.start, one.end) }
        val given = if (sure && !silent) spans[0] else maker.span("", probability, 0, 0)
        return FoundAnswer(given, spans, sure)
    }

    private companion object {
        /** Tokens read of a question. */
        const val QUESTION = 64

        /** Tokens that two windows of a context share. */
        const val OVERLAP = 128

        /** Best starts and best ends of a window that are tried, and answers that share the probability. */
        const val KEPT = 20

        /** Tokens of an answer. */
        const val LONGEST = 30
    }
}
