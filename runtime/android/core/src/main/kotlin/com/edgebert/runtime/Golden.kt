package com.edgebert.runtime

/**
 * A test vector: what the exporting machine found for one text.
 *
 * @property text the text, or pair of texts.
 * @property pieces what the network read of it, and what it gave.
 * @property answer its answer as JSON; see [Answer.toJson].
 * @property margin by how much any number of the outputs may move before the answer becomes another one; null where an
 *   answer has no decision in it.
 */
public class GoldenVector(
    public val text: Text,
    public val pieces: List<GoldenPiece>,
    public val answer: Map<String, Any?>,
    public val margin: Double?,
)

/**
 * What the network read, and what it gave.
 *
 * @property ids by input name, as the featurizer made them.
 * @property outputs by output name; of a large one the values are a sample.
 */
public class GoldenPiece(public val ids: Features, public val outputs: Map<String, GoldenOutput>)

/**
 * An output of one piece.
 *
 * @property shape [width] or [tokens, width].
 * @property values all of up to 16,384 numbers, else 1,024 of them, evenly spread.
 */
public class GoldenOutput(public val shape: IntArray, public val values: FloatArray) {
    /** The largest distance of a number in `found`, of the same shape, to the one here. */
    internal fun difference(found: Tensor): Double {
        val size = found.values.size.toLong()
        var largest = 0.0
        for ((index, value) in values.withIndex()) {
            val here = found.values[if (size <= MOST_VALUES) index else (index * size / SAMPLED).toInt()]
            largest = maxOf(largest, Math.abs(here.toDouble() - value))
        }
        return largest
    }

    /** The largest of the numbers, without its sign; 0 where there is none. */
    internal val largest: Double get() = values.maxOfOrNull { Math.abs(it) }?.toDouble() ?: 0.0
}

private const val MOST_VALUES = 16_384
private const val SAMPLED = 1_024

/** Checks one test vector against the manifest. */
internal fun goldenVector(value: Any?, manifest: Manifest): GoldenVector {
    val data = Checks.fields("a test vector", value, setOf("text", "pieces", "answer", "margin"))
    val given = data["text"]
    val text = when {
        given is String -> Text(given)
        given is List<*> && given.size == 2 && given.all { it is String } ->
            Text(given[0] as String, given[1] as String)
        else -> throw BundleException("'text' must be a text or a list of two texts")
    }
    val pieces = data["pieces"]
    if (pieces !is List<*> || pieces.isEmpty()) {
        throw BundleException("'pieces' must be a list of at least one object")
    }
    val checked = pieces.map { piece(it, manifest) }
    val answer = Checks.entries("'answer'", data["answer"])
    val margin = data["margin"]
    if (margin != null && (!Checks.isNumber(margin) || (margin as Number).toDouble() < 0)) {
        throw BundleException("'margin' must be null or a number from 0")
    }
    return GoldenVector(text, checked, answer, margin?.toDouble())
}

private fun piece(value: Any?, manifest: Manifest): GoldenPiece {
    val data = Checks.fields("a piece", value, setOf("ids", "outputs"))
    val (inputs, outputs) = manifest.graph.inputs to manifest.graph.outputs
    val (ids, given) = data["ids"] to data["outputs"]
    if (ids !is Map<*, *> || ids.keys != inputs.mapTo(HashSet()) { it.name }) {
        val names = inputs.map { it.name }.sorted().joinToString(", ")
        throw BundleException("'ids' must hold exactly the inputs $names")
    }
    val features = inputs.associate { it.name to ids(ids[it.name], it, manifest.maxLength) }
    if (given !is Map<*, *> || given.keys != outputs.mapTo(HashSet()) { it.name }) {
        throw BundleException("'outputs' must hold exactly the outputs ${outputs.joinToString(", ") { it.name }}")
    }
    val tokens = tokensOf(features, manifest.graph)
    return GoldenPiece(features, outputs.associate { it.name to output(given[it.name], it, tokens) })
}

private fun ids(ids: Any?, spec: InputSpec, maxLength: Int): IntArray {
    if (ids !is List<*> || !ids.all { it is Long && it in 0 until spec.rows }) {
        throw BundleException("'ids' of ${repr(spec.name)} must be whole numbers from 0 to ${spec.rows - 1}")
    }
    if (ids.size > spec.perLength.toLong() * maxLength) {
        throw BundleException("${repr(spec.name)} has ${ids.size} ids, more than the model takes")
    }
    return IntArray(ids.size) { (ids[it] as Long).toInt() }
}

private fun output(value: Any?, spec: OutputSpec, tokens: Int): GoldenOutput {
    val data = Checks.fields("the output ${repr(spec.name)}", value, setOf("shape", "values"))
    val shape = if (spec.perToken) listOf(tokens, spec.width) else listOf(spec.width)
    if (data["shape"] != shape.map { it.toLong() }) {
        throw Checks.wrong("the shape of ${repr(spec.name)}", "$shape", data["shape"])
    }
    val size = shape.fold(1L) { all, one -> all * one }
    val (count, values) = (if (size <= MOST_VALUES) size.toInt() else SAMPLED) to data["values"]
    if (values !is List<*> || values.size != count || !values.all(Checks::isNumber)) {
        throw BundleException("the values of ${repr(spec.name)} must be $count numbers")
    }
    return GoldenOutput(shape.toIntArray(), FloatArray(count) { (values[it] as Number).toFloat() })
}
