package com.edgebert.runtime.decode

/**
 * The windows of one text: (start, end), a String's indices. Together they hold all of it; one when all of it fits.
 *
 * A window is a stretch of the text itself, cut where words begin. A tokenizer works on one word at a time, so the ids
 * of a window are a slice of the ids of the whole, and to everything else a window is a text like any other.
 *
 * @param spans 4 ints for each token of one half, as Featurizer.spans gives them uncut, without [CLS] and [SEP].
 * @param end the length of that half.
 * @param room tokens that a window may have, at least 1; a word of more is a window of its own.
 * @param overlap tokens that two neighbours share at least, under `room`; fewer where words are too long for it.
 */
internal fun windows(spans: IntArray, end: Int, room: Int, overlap: Int): List<Pair<Int, Int>> {
    if (spans.size <= 4 * room) return listOf(0 to end)
    val borders = borders(spans)
    val found = ArrayList<Pair<Int, Int>>()
    var first = 0 // a place in `borders`, as is `last`
    while (true) {
        val begin = if (first == 0) 0 else spans[4 * borders[first] + 2]
        val last = maxOf(borders.indexOfLast { it <= borders[first] + room }, first + 1)
        if (last == borders.size - 1) return found + (begin to end)
        found += begin to spans[4 * borders[last] + 2]
        val shared = borders.indexOfLast { it <= borders[last] - overlap }
        val needed = borders.indexOfFirst { it >= borders[last + 1] - room } // or the next would hold nothing new
        first = minOf(maxOf(shared, needed), last)
    }
}

/**
 * The tokens before which a text may be cut, from 0 to the number of tokens: where a word begins, unless it begins
 * within a code point (one may be two words once it is taken apart).
 */
private fun borders(spans: IntArray): List<Int> {
    val count = spans.size / 4
    val found = arrayListOf(0)
    var ends = 0 // the largest so far
    for (token in 0 until count) {
        val at = 4 * token
        if (token > 0 && spans[at] >= 0 && spans[at + 1] != spans[at - 3] && spans[at + 2] >= ends) found += token
        ends = maxOf(ends, spans[at + 3])
    }
    found += count
    return found
}
