package com.edgebert.runtime

/**
 * What replaying the golden vectors found.
 *
 * @property passed whether nothing differed.
 * @property checked number of vectors.
 * @property maxDifference largest difference between two logits.
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
    for ((index, vector) in golden.withIndex()) {
        val number = index + 1
        val features = model.featurize(listOf(vector.text)).single()
        for ((name, ids) in vector.ids) {
            if (!features.getValue(name).contentEquals(ids)) failures += "vector $number: other ids for ${repr(name)}"
        }
        val logits = model.logits(listOf(vector.text), 1)
        val difference = vector.logits.indices.maxOf { Math.abs(logits[0][it] - vector.logits[it]) }
        largest = maxOf(largest, difference)
        val allowed = tolerance * maxOf(1.0, vector.logits.maxOf { Math.abs(it) })
        if (difference > allowed) {
            failures += "vector $number: logits differ by ${shown(difference)}, allowed ${shown(allowed)}"
        }
        val label = model.decode(logits).single().label
        if (label != vector.label && !tie(vector.logits, 2 * allowed)) {
            failures += "vector $number: the label is ${repr(label)}, not ${repr(vector.label)}"
        }
    }
    return SelfTest(failures.isEmpty(), golden.size, largest, failures)
}

/** Three digits that count, as Python's `.3g`. */
internal fun shown(value: Double): String {
    if (value == 0.0) return "0"
    val rounded = java.math.BigDecimal(value).round(java.math.MathContext(3))
    val exponent = rounded.precision() - rounded.scale() - 1
    val digits = rounded.unscaledValue().toString().trimEnd('0').ifEmpty { "0" }
    if (exponent in -4..2) return rounded.stripTrailingZeros().toPlainString()
    val sign = if (exponent < 0) "-" else "+"
    val fraction = if (digits.length > 1) "." + digits.substring(1) else ""
    return digits.take(1) + fraction + "e" + sign + Math.abs(exponent).toString().padStart(2, '0')
}

/** Whether the two largest logits are closer together than `difference`. */
private fun tie(logits: DoubleArray, difference: Double): Boolean {
    val best = logits.sortedDescending()
    return best.size > 1 && best[0] - best[1] <= difference
}
