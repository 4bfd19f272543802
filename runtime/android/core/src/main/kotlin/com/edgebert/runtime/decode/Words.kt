package com.edgebert.runtime.decode

import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Piece
import com.edgebert.runtime.Text

/**
 * A word as the network reads it; in overlapping pieces a word stands twice.
 *
 * @property start where it begins in the asked text, a String's index; [end] where it ends.
 * @property piece the piece that it is read in.
 * @property row its first token, counted in the piece.
 * @property context tokens between it and the nearer end of its piece.
 */
internal class Word(val start: Int, val end: Int, val piece: Int, val row: Int, val context: Int)

/** A text in windows that the network can read; neighbours share a quarter. */
internal fun cutAtWords(text: Text, number: Int, featurizer: Featurizer): List<Piece> {
    val room = featurizer.maxLength - featurizer.spans(Text(""), false, number).size / 4
    val spans = featurizer.spans(text, false, number)
    val real = (0 until spans.size step 4).filter { spans[it] >= 0 }
    val inner = if (real.isEmpty()) spans.copyOf(0) else spans.copyOfRange(real.first(), real.last() + 4)
    return windows(inner, text.first.length, room, room / 4).map { (start, end) ->
        Piece(Text(text.first.substring(start, end)), start)
    }
}

/** The words of a text, each once and in order: of a word in several pieces the one with most context. */
internal fun answeredWords(asked: Asked, featurizer: Featurizer): List<Word> {
    val words = asked.pieces.flatMapIndexed { number, piece -> words(piece, number, featurizer) }
    return if (asked.pieces.size == 1) words else mostContext(words)
}

/** Each word from one piece: the one in which it stands farthest from both ends; of equal ones the first. */
internal fun mostContext(words: List<Word>): List<Word> {
    // Words that begin in the same code point come from the same piece.
    val chosen = HashMap<Int, Word>()
    for (word in words) {
        val best = chosen[word.start]
        if (best == null || word.context > best.context) chosen[word.start] = word
    }
    return words.filter { chosen.getValue(it.start).piece == it.piece }.sortedBy { it.start }
}

private fun words(piece: Piece, number: Int, featurizer: Featurizer): List<Word> {
    val spans = featurizer.spans(piece.text)
    val real = (0 until spans.size / 4).filter { spans[4 * it] >= 0 }
    val begins = real.filter { token ->
        val at = 4 * token
        token == 0 || spans[at] != spans[at - 4] || spans[at + 1] != spans[at - 3]
    }
    return begins.mapIndexed { index, token ->
        val next = begins.getOrElse(index + 1) { spans.size / 4 }
        // The largest, since the last token of a word may lie in the same code point; [SEP] ends at 0.
        val end = (token until next).maxOf { spans[4 * it + 3] }
        val context = minOf(token - real.first(), real.last() - token)
        Word(piece.start + spans[4 * token + 2], piece.start + end, number, token, context)
    }
}
