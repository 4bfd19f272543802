package com.edgebert.runtime

import java.math.BigDecimal
import java.math.RoundingMode

/** A value as Python writes it in an error message, so that a wrong field reads the same on phone and workstation. */
internal fun repr(value: Any?): String = when (value) {
    null -> "None"
    true -> "True"
    false -> "False"
    is String -> quoted(value)
    is Double -> shownDouble(value)
    is List<*> -> value.joinToString(", ", "[", "]") { repr(it) }
    is Map<*, *> -> value.entries.joinToString(", ", "{", "}") { "${repr(it.key)}: ${repr(it.value)}" }
    else -> value.toString()
}

/** A number with so many digits behind the point, rounded as Python does. */
internal fun decimals(value: Double, digits: Int): String {
    val found = BigDecimal(value).setScale(digits, RoundingMode.HALF_EVEN).toPlainString()
    return if (value < 0 && !found.startsWith('-')) "-$found" else found
}

/** Its first `limit` characters (code points, as Python counts). */
internal fun String.cut(limit: Int): String =
    if (codePointCount(0, length) <= limit) this else substring(0, offsetByCodePoints(0, limit))

/** Whether a character shows on a screen as itself: Python's `isprintable`. */
internal fun printable(codePoint: Int): Boolean = when (Character.getType(codePoint).toByte()) {
    Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE, Character.UNASSIGNED,
    Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> false
    Character.SPACE_SEPARATOR -> codePoint == ' '.code
    else -> true
}

/** The code points of a text, halves of surrogate pairs as they are. */
internal fun codePoints(text: String): IntArray {
    val found = IntArray(text.codePointCount(0, text.length))
    var at = 0
    for (index in found.indices) {
        found[index] = text.codePointAt(at)
        at += Character.charCount(found[index])
    }
    return found
}

private fun quoted(text: String): String {
    val quote = if ('\'' in text && '"' !in text) '"' else '\''
    val shown = StringBuilder().append(quote)
    for (point in codePoints(text)) {
        when {
            point == quote.code || point == '\\'.code -> shown.append('\\').appendCodePoint(point)
            point == '\n'.code -> shown.append("\\n")
            point == '\r'.code -> shown.append("\\r")
            point == '\t'.code -> shown.append("\\t")
            printable(point) -> shown.appendCodePoint(point)
            point < 0x100 -> shown.append("\\x").append(hex(point, 2))
            point < 0x10000 -> shown.append("\\u").append(hex(point, 4))
            else -> shown.append("\\U").append(hex(point, 8))
        }
    }
    return shown.append(quote).toString()
}

private fun hex(value: Int, digits: Int): String = Integer.toHexString(value).padStart(digits, '0')

private fun shownDouble(value: Double): String {
    if (value.isNaN()) return "nan"
    if (value.isInfinite()) return if (value > 0) "inf" else "-inf"
    if (value == 0.0) return if (1 / value < 0) "-0.0" else "0.0"
    val exact = BigDecimal(value.toString()).stripTrailingZeros()
    val exponent = exact.precision() - exact.scale() - 1
    if (exponent in -4..15) return exact.toPlainString() + if (exact.scale() > 0) "" else ".0"
    val digits = exact.movePointLeft(exponent).stripTrailingZeros().toPlainString()
    return digits + "e" + (if (exponent < 0) "-" else "+") + Math.abs(exponent).toString().padStart(2, '0')
}
