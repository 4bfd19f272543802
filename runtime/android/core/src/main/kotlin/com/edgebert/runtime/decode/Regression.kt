package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.decimals

/**
 * A number for a text or a pair of texts.
 *
 * @property score in the units of the training data.
 */
public data class Score(public val score: Double) : Answer {
    /** True: a score has no probability. */
    override val sure: Boolean get() = true

    override fun toJson(): Map<String, Any?> = mapOf("score" to score)

    override fun summary(): String = decimals(score, 4)
}

/** The network learns scores with mean 0 and deviation 1. */
internal class RegressionDecoder(context: Context) : Decoder {
    private val scale = context.number("scale", default = 1.0, from = 1e-30)
    private val shift = context.number("shift", default = 0.0)

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Score =
        Score(outputs.single().getValue("score").values[0] * scale + shift)
}
