package com.edgebert.runtime

/**
 * What a model is asked about: one text, or a pair of texts when [second] is given.
 *
 * @property first the text, or the first of the pair.
 * @property second the second text of a pair (a hypothesis to a premise, say); null for one text.
 */
public data class Text @JvmOverloads constructor(public val first: String, public val second: String? = null)

/** Ids by the name of the graph's input: what a [Featurizer] makes of one text, cut to the model's length, unpadded. */
public typealias Features = Map<String, IntArray>

/** What the network reads: a text, and where it begins in the asked one (its second text, of a pair): an index. */
internal class Piece(val text: Text, val start: Int)

/**
 * One text that was asked about, cut into what the network reads of it. Made by [EdgeBert.ask].
 *
 * @property text as it was asked.
 */
public class Asked internal constructor(public val text: Text, internal val pieces: List<Piece>)

/** UTF-8 of a text, for the core. `number` counts the texts from 1, for the message. */
internal fun utf8(text: String, number: Int): ByteArray {
    // String.getBytes would write "?" for half of a surrogate pair, and the answer would be about another text.
    var at = 0
    while (at < text.length) {
        val unit = text[at]
        if (unit.isSurrogate()) {
            if (!unit.isHighSurrogate() || at + 1 >= text.length || !text[at + 1].isLowSurrogate()) {
                throw DataException("text $number is not valid Unicode (it holds half of a surrogate pair)")
            }
            at++
        }
        at++
    }
    return text.toByteArray(Charsets.UTF_8)
}
