package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.Checks
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.OutputSpec
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.Piece
import com.edgebert.runtime.Text
import com.edgebert.runtime.UsageException
import com.edgebert.runtime.repr
import com.edgebert.runtime.shown

/** Outputs to answers: what a task is at run time. Made once, when a model is loaded. */
internal interface Decoder {
    /** Refuses a text that has no answer; `number` counts the texts from 1, for messages. */
    fun check(text: Text, number: Int) {}

    /** What the network reads of a text; `number` counts the texts from 1, for messages. */
    fun cut(text: Text, number: Int, featurizer: Featurizer): List<Piece> = listOf(Piece(text, 0))

    /** The answer to one text, of the outputs of its pieces. */
    fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Answer
}

/**
 * What a decoder is made of: the outputs of the model with their labels, and the settings of its manifest. A decoder
 * asks for all of it when it is made, so that a bundle with other settings than it can use is refused.
 */
internal class Context(val outputs: List<OutputSpec>, private val settings: Map<String, Any?>) {
    /** The names of the columns of an output. */
    fun labels(output: String): List<String> = outputs.first { it.name == output }.labels.ifEmpty {
        throw BundleException("its output ${repr(output)} has no labels, and its task needs them")
    }

    /** What stands in the settings, such as `setting("temperature", "logits")`; null where it is missing. */
    fun setting(vararg path: String): Any? {
        var value: Any? = settings
        for ((depth, key) in path.withIndex()) {
            val where = (listOf("settings") + path.take(depth)).joinToString(".")
            value = Checks.entries(where, value)[key] ?: return null
        }
        return value
    }

    fun number(
        vararg path: String,
        default: Double,
        from: Double = Double.NEGATIVE_INFINITY,
        to: Double = Double.POSITIVE_INFINITY,
    ): Double {
        val value = setting(*path) ?: return default
        val found = if (Checks.isNumber(value)) (value as Number).toDouble() else Double.NaN
        if (found !in from..to) {
            val bounds = if (from.isInfinite() && to.isInfinite()) "" else " from ${shown(from, 6)} to ${shown(to, 6)}"
            throw Checks.wrong("settings.${path.joinToString(".")}", "a number$bounds", value)
        }
        return found
    }

    /** The probability below which an answer is not sure; 0 where there is none. */
    fun threshold(): Double = number("threshold", default = 0.0, from = 0.0, to = 1.0)

    /** What the logits of an output are divided by before they become probabilities. */
    fun temperature(output: String): Double = number("temperature", output, default = 1.0, from = 1e-3, to = 1e3)
}

/**
 * A task: what is asked of a bundle, and what reads its outputs.
 *
 * @property verb the method of EdgeBert that gives the task's own kind of answer.
 * @property needs the outputs that it needs; a width of 0 is any.
 * @property takesThreshold whether its answers have a probability that a threshold can be compared with.
 */
internal class Task(
    val verb: String,
    private val needs: List<OutputSpec>,
    private val takesThreshold: Boolean,
    private val decoder: (Context) -> Decoder,
) {
    /** @throws BundleException outputs, labels or settings that the decoder could not use. */
    fun make(name: String, context: Context): Decoder {
        for (need in needs) {
            val found = context.outputs.firstOrNull { it.name == need.name }
            if (found?.perToken != need.perToken || (need.width > 0 && found.width != need.width)) {
                val rows = if (need.perToken) "a row for each token" else "one row a text"
                val columns = if (need.width > 0) ", of width ${need.width}" else ""
                throw BundleException("its task $name needs an output ${repr(need.name)} with $rows$columns")
            }
        }
        return decoder(context)
    }

    /** @throws UsageException a threshold that is no probability, or that the task has no use for. */
    fun checkThreshold(name: String, threshold: Double) {
        if (!(threshold in 0.0..1.0)) {
            throw UsageException("the threshold ${repr(threshold)} must be a probability between 0 and 1.")
        }
        if (!takesThreshold) {
            throw UsageException("the answers of $name have no probability; leave out the threshold.")
        }
    }
}

/** The tasks: each is one line here and one file in this folder. */
internal object Decoders {
    private val LOGITS = listOf(OutputSpec("logits", 0))
    private val EACH_TOKEN = listOf(OutputSpec("logits", 0, true))
    private val BOTH = listOf(OutputSpec("intent", 0), OutputSpec("slots", 0, true))

    val KNOWN: Map<String, Task> = mapOf(
        "classification" to Task("classify", LOGITS, true, ::ClassificationDecoder),
        "embedding" to Task("embed", listOf(OutputSpec("vector", 0)), false) { EmbeddingDecoder() },
        "intent-slots" to Task("understand", BOTH, true, ::IntentSlotsDecoder),
        "masked-lm" to Task("fill", EACH_TOKEN, false) { MaskedLmDecoder() },
        "multi-label" to Task("labelsOf", LOGITS, true, ::MultiLabelDecoder),
        "question-answering" to
            Task("answer", listOf(OutputSpec("logits", 2, true)), true, ::QuestionAnsweringDecoder),
        "regression" to Task("score", listOf(OutputSpec("score", 1)), false, ::RegressionDecoder),
        "token-classification" to Task("tag", EACH_TOKEN, true, ::TokenClassificationDecoder),
    )
}
