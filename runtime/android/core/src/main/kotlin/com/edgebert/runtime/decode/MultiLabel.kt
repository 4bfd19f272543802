package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.Checks
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.decimals

/**
 * Any number of labels for a text or a pair of texts.
 *
 * @property labels those that reach their thresholds, in the model's order.
 * @property probabilities of every label, each between 0 and 1, whatever the others are.
 */
public data class MultiLabel(
    public val labels: List<String>,
    public val probabilities: Map<String, Double>,
) : Answer {
    /** True: what is not sure is left out of [labels]. */
    override val sure: Boolean get() = true

    override fun toJson(): Map<String, Any?> = linkedMapOf("labels" to labels, "probabilities" to probabilities)

    /** The labels with their probabilities, "-" where there is none. */
    override fun summary(): String =
        labels.joinToString("  ") { "$it ${decimals(probabilities.getValue(it), 4)}" }.ifEmpty { "-" }
}

internal class MultiLabelDecoder(context: Context) : Decoder {
    private val labels = context.labels("logits")
    private val asked: Double? = if (context.setting("threshold") == null) null else context.threshold()
    private val temperature = context.temperature("logits")

    /** The least probability of each label: the one that was asked for, else those fitted on dev, else a half. */
    private val limits: List<Double> = fitted(context).map { asked ?: it }

    private fun fitted(context: Context): List<Double> {
        val given = context.setting("thresholds") ?: return labels.map { 0.5 }
        val found = Checks.list("settings.thresholds", given) { where, item ->
            val number = if (Checks.isNumber(item)) (item as Number).toDouble() else Double.NaN
            if (number in 0.0..1.0) number else throw Checks.wrong(where, "a number from 0 to 1", item)
        }
        if (found.size == labels.size) return found
        throw BundleException("settings.thresholds must hold a number for each label, ${labels.size} in all")
    }

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): MultiLabel {
        val logits = outputs.single().getValue("logits").values
        val found = LinkedHashMap<String, Double>(2 * labels.size)
        for ((index, label) in labels.withIndex()) found[label] = sigmoid(logits[index] / temperature)
        return MultiLabel(labels.filterIndexed { index, label -> found.getValue(label) >= limits[index] }, found)
    }

    private fun sigmoid(logit: Double): Double {
        val power = Math.exp(-Math.abs(logit))
        return if (logit >= 0) 1 / (1 + power) else power / (1 + power)
    }
}
