package com.edgebert.runtime.decode

import com.edgebert.runtime.BundleException
import com.edgebert.runtime.Tensor

/**
 * A stretch of a text, half-open.
 *
 * @property label what it is; empty for the answer to a question.
 * @property text the stretch itself.
 * @property probability of the label, 0 to 1.
 * @property start where it begins, a String's index: `asked.substring(start, end)` is [text].
 * @property end where it ends, likewise.
 * @property codePointStart, codePointEnd the same in code points, as Python counts.
 * @property byteStart, byteEnd the same in bytes of UTF-8.
 */
public data class Span(
    public val label: String,
    public val text: String,
    public val probability: Double,
    public val start: Int,
    public val end: Int,
    public val codePointStart: Int,
    public val codePointEnd: Int,
    public val byteStart: Int,
    public val byteEnd: Int,
) {
    /** The span as plain JSON, under Python's names: "start" and "end" are code points there. */
    public fun toJson(): Map<String, Any?> =
        linkedMapOf<String, Any?>("label" to label, "text" to text, "probability" to probability) + places(this)
}

/** Makes spans of one text. */
internal class SpanMaker(private val text: String) {
    private val offsets = Offsets(text)

    fun span(label: String, probability: Double, start: Int, end: Int): Span = Span(
        label, text.substring(start, end), probability, start, end,
        offsets.points(start), offsets.points(end), offsets.bytes(start), offsets.bytes(end),
    )
}

/** Where a span is, in Python's names. */
internal fun places(span: Span): Map<String, Any?> = linkedMapOf(
    "start" to span.codePointStart,
    "end" to span.codePointEnd,
    "byte_start" to span.byteStart,
    "byte_end" to span.byteEnd,
    "utf16_start" to span.start,
    "utf16_end" to span.end,
)

/** The text with one blank for what Python sees as white space, and none around it. */
internal fun onOneLine(text: String): String =
    text.map { if (it.isWhitespace() || it == '\u0085') ' ' else it }.joinToString("")
        .split(' ').filter { it.isNotEmpty() }.joinToString(" ")

/** The numbers of an output with a row for each of the tokens that these spans are of. */
internal fun rowsOf(output: Tensor, spans: IntArray): FloatArray {
    if (output.shape[0] != spans.size / 4) {
        throw BundleException("the outputs do not have a row for each token of the texts")
    }
    return output.values
}

/**
 * The spans that BIO tags spell: label, first tag, last tag, in order. "B-" begins one, and so does an "I-" that no tag
 * of its label stands before. Anything else is outside.
 */
internal fun spansOf(tags: List<String>): List<Triple<String, Int, Int>> {
    val found = ArrayList<Triple<String, Int, Int>>()
    var inside = ""
    var first = 0
    for ((place, tag) in tags.withIndex()) {
        val (prefix, label) = tag.take(2) to tag.drop(2)
        if (prefix == "I-" && label == inside) continue
        if (inside.isNotEmpty()) found += Triple(inside, first, place - 1)
        inside = if (prefix == "B-" || prefix == "I-") label else ""
        first = place
    }
    if (inside.isNotEmpty()) found += Triple(inside, first, tags.size - 1)
    return found
}
