package com.edgebert.runtime

/**
 * The answer to one text.
 *
 * @property label the most probable label; of equal ones the first.
 * @property probability its probability, 0 to 1.
 * @property probabilities of every label, in the model's order; they sum to 1.
 */
public data class Classification(
    public val label: String,
    public val probability: Double,
    public val probabilities: Map<String, Double>,
)

/** Logits to answers: one function a task. */
internal object Decode {
    /** The tasks that have one. */
    val TASKS = setOf("classification")

    fun classification(logits: FloatArray, labels: List<String>): Classification {
        val probabilities = softmax(logits)
        val best = probabilities.indices.maxBy { probabilities[it] }
        val named = LinkedHashMap<String, Double>(2 * labels.size)
        for ((index, label) in labels.withIndex()) named[label] = probabilities[index]
        return Classification(labels[best], probabilities[best], named)
    }

    private fun softmax(logits: FloatArray): DoubleArray {
        val largest = logits.max().toDouble()
        val powers = DoubleArray(logits.size) { Math.exp(logits[it] - largest) }
        val sum = powers.sum()
        return DoubleArray(logits.size) { powers[it] / sum }
    }
}
