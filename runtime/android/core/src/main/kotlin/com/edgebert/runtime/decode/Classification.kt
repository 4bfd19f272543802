package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.decimals

/**
 * One label for a text or a pair of texts.
 *
 * @property label the most probable label; of equal ones the first.
 * @property probability its probability, 0 to 1.
 * @property probabilities of every label, in the model's order; they sum to 1.
 * @property sure see [Answer.sure].
 */
public data class Classification(
    public val label: String,
    public val probability: Double,
    public val probabilities: Map<String, Double>,
    override val sure: Boolean = true,
) : Answer {
    override fun toJson(): Map<String, Any?> = linkedMapOf(
        "label" to label, "probability" to probability, "probabilities" to probabilities, "sure" to sure,
    )

    /** The label ("-" where the model is not sure) and its probability, with a tab between. */
    override fun summary(): String = "${if (sure) label else "-"}\t${decimals(probability, 4)}"
}

internal class ClassificationDecoder(context: Context, private val output: String = "logits") : Decoder {
    private val labels = context.labels(output)
    private val threshold = context.threshold()
    private val temperature = context.temperature(output)

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Classification {
        val logits = outputs.single().getValue(output).values
        val probabilities = softmax(DoubleArray(logits.size) { logits[it] / temperature })
        val best = probabilities.indices.maxBy { probabilities[it] }
        val named = LinkedHashMap<String, Double>(2 * labels.size)
        for ((index, label) in labels.withIndex()) named[label] = probabilities[index]
        return Classification(labels[best], probabilities[best], named, probabilities[best] >= threshold)
    }
}

/** The probabilities of these logits, in their place. */
internal fun softmax(logits: DoubleArray): DoubleArray {
    val largest = logits.maxOrNull() ?: 0.0
    for (index in logits.indices) logits[index] = Math.exp(logits[index] - largest)
    val sum = logits.sum()
    for (index in logits.indices) logits[index] /= sum
    return logits
}
