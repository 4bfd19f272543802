package com.edgebert.runtime

/**
 * What replaying the golden vectors found.
 *
 * @property passed whether nothing differed.
 * @property checked number of vectors.
 * @property maxDifference largest difference between two numbers of an output.
 * @property failures what differed, a sentence each; empty when it passed.
 */
public data class SelfTest(
    public val passed: Boolean,
    public val checked: Int,
    public val maxDifference: Double,
    public val failures: List<String> = emptyList(),
)

/** See [EdgeBert.selfTest]. */
internal fun replay(model: EdgeBert, tolerance: Double): SelfTest {
    val failures = ArrayList<String>()
    var largest = 0.0
    val golden = model.bundle.golden()
    val slack = slack(model.bundle.manifest.settings)
    for ((index, vector) in golden.withIndex()) {
        val asked = model.ask(listOf(vector.text))
        val features = model.featurize(asked)
        val outputs = model.infer(asked, features, 1)
        val replay = Replay(vector, tolerance, slack)
        failures += replay.wrong(features, outputs, model.decode(asked, outputs).single())
            .map { "vector ${index + 1}: $it" }
        largest = maxOf(largest, replay.difference)
    }
    return SelfTest(failures.isEmpty(), golden.size, largest, failures)
}

/**
 * One vector beside what is found here. Ids must be equal. The numbers of an output may differ by `tolerance` times the
 * largest of them in the vector, at least by `tolerance` itself. In the answer, numbers with a fraction may differ by
 * [slack] times that, and relatively where they are above 1; everything else must be equal, unless it is as good as
 * undecided: a margin that is no larger than what the outputs may differ by.
 */
private class Replay(private val vector: GoldenVector, private val tolerance: Double, private val slack: Double) {
    /** The largest difference of a number of the outputs. */
    var difference = 0.0
        private set

    /** By how much the outputs may differ. */
    private var allowed = 0.0

    /** Of the answer: what was decided (texts, counts, yes or no), and numbers with a fraction. */
    private val decisions = ArrayList<String>()
    private val numbers = ArrayList<String>()

    fun wrong(features: List<Features>, outputs: List<Outputs>, answer: Answer): List<String> {
        val pieces = vector.pieces
        if (pieces.size != features.size) {
            return listOf("the text is read in ${features.size} parts, not ${pieces.size}")
        }
        val ids = pieces.zip(features).flatMap { (piece, found) ->
            piece.ids.filterNot { (name, ids) -> found.getValue(name).contentEquals(ids) }.keys
        }
        if (ids.isNotEmpty()) return ids.map { "other ids for ${repr(it)}" }
        val wrong = pieces[0].outputs.keys.mapNotNull { differing(it, outputs) }
        compare("the answer", vector.answer, answer.toJson())
        val undecided = vector.margin != null && vector.margin <= allowed
        if (decisions.isNotEmpty() && undecided) return wrong
        return wrong + decisions.take(1) + numbers.take(1)
    }

    private fun differing(name: String, outputs: List<Outputs>): String? {
        val expected = vector.pieces.map { it.outputs.getValue(name) }
        val most = tolerance * maxOf(1.0, expected.maxOf { it.largest })
        val here = expected.zip(outputs).maxOf { (golden, found) -> golden.difference(found.getValue(name)) }
        difference = maxOf(difference, here)
        allowed = maxOf(allowed, most)
        return if (here > most) "$name differ by ${shown(here, 3)}, allowed ${shown(most, 3)}" else null
    }

    private fun compare(where: String, expected: Any?, found: Any?) {
        if (expected is Map<*, *> && found is Map<*, *> && expected.keys == found.keys) {
            for ((key, value) in expected) compare("$where: ${repr((key as String).cut(40))}", value, found[key])
        } else if (expected is List<*> && found is List<*> && expected.size == found.size) {
            for (index in expected.indices) compare("$where: $index", expected[index], found[index])
        } else if (found is Double && Checks.isNumber(expected)) {
            val number = (expected as Number).toDouble()
            if (!(Math.abs(found - number) <= slack * allowed * maxOf(1.0, Math.abs(number)))) {
                numbers += "$where is ${shown(found, 6)}, not ${shown(number, 6)}"
            }
        } else if ((if (found is Int) found.toLong() else found) != expected) {
            decisions += "$where is ${Json.line(found).cut(80)}, not ${Json.line(expected).cut(80)}"
        }
    }
}

/**
 * How many times as far as an output a number of the answer may move: 4, and more where decode multiplies it, with a
 * scale or with a temperature below 1/4.
 */
internal fun slack(settings: Map<String, Any?>): Double {
    val found = (settings["temperature"] as? Map<*, *>).orEmpty().values // a task that has none checks none
    val colder = found.filterIsInstance<Number>().map { it.toDouble() }.filter { it > 0 }.maxOfOrNull { 1 / it }
    val scale = (settings["scale"] as? Number)?.toDouble() ?: 1.0
    return maxOf(4.0, 2 * Math.abs(scale), colder ?: 0.0)
}

/** So many digits that count, as Python's `g`. */
internal fun shown(value: Double, digits: Int): String {
    if (value == 0.0) return "0"
    if (value.isNaN() || value.isInfinite()) return repr(value)
    val rounded = java.math.BigDecimal(value).round(java.math.MathContext(digits))
    val exponent = rounded.precision() - rounded.scale() - 1
    if (exponent in -4 until digits) return rounded.stripTrailingZeros().toPlainString()
    val fraction = rounded.movePointLeft(exponent).stripTrailingZeros().toPlainString()
    return fraction + "e" + (if (exponent < 0) "-" else "+") + Math.abs(exponent).toString().padStart(2, '0')
}
