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

    /**
     * Half, word, start and end of each token that [features] gives, 4 ints a token.
     *
     * The half is 0 or 1, the words are counted in each, and start and end are a String's indices in it; [CLS] and
     * [SEP], which stand for none, have (-1, -1, 0, 0). A featurizer without tokens gives none.
     *
     * @param cut false for all tokens of the text, also those that do not fit [maxLength].
     * @param number counts the texts from 1; for messages.
     * @throws DataException as [features].
     */
    public fun spans(text: Text, cut: Boolean = true, number: Int = 1): IntArray
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
            "words" -> Words.fromSpec(Spec(spec), map)
            else -> throw BundleException("featurizer type ${repr(kind)} is unknown; known: wordpiece, ngram, words")
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

/** EB_UTF16: the core gives places as a String's indices. */
internal const val UTF16 = 2

/** Direct memory for a handle of the core. */
internal fun directMemory(bytes: Long): ByteBuffer = ByteBuffer.allocateDirect(Math.toIntExact(bytes))
