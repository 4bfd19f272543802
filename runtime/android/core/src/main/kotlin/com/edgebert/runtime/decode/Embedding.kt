package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.decimals

/**
 * A vector for a text, to be compared with other texts' vectors.
 *
 * @property vector of length 1, so that a dot product of two is their cosine; zeros where the network says nothing.
 */
public class Embedding(public val vector: FloatArray) : Answer {
    /** True: a vector has no probability. */
    override val sure: Boolean get() = true

    /** With six digits behind the point. */
    override fun toJson(): Map<String, Any?> = mapOf("vector" to vector.map { decimals(it.toDouble(), 6).toDouble() })

    /** The first numbers, and how many there are. */
    override fun summary(): String {
        val first = vector.take(4).joinToString(" ") { decimals(it.toDouble(), 4) }
        return "$first${if (vector.size > 4) " ..." else ""}  (${vector.size} numbers)"
    }
}

internal class EmbeddingDecoder : Decoder {
    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Embedding {
        val row = outputs.single().getValue("vector").values
        val length = Math.sqrt(row.sumOf { it.toDouble() * it.toDouble() })
        return Embedding(FloatArray(row.size) { if (length > 0) (row[it] / length).toFloat() else row[it] })
    }
}
