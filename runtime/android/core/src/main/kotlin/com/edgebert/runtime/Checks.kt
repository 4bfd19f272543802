package com.edgebert.runtime

import java.math.BigInteger
import java.time.DateTimeException
import java.time.LocalDate
import java.time.LocalTime

/**
 * Checks of what a bundle says: each takes where it stands and what was found, and gives it back, typed.
 * All throw BundleException: "WHERE must be THIS, not THAT".
 */
internal object Checks {
    val WORD = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
    val TENSOR = Regex("[A-Za-z_][A-Za-z0-9_]{0,99}")
    private val DIMENSION = Regex("[A-Za-z0-9_*+]{1,40}")
    private val TIME = Regex(
        "(\\d{4})-?(\\d\\d)-?(\\d\\d)" +
            "(?:.(\\d\\d)(?::?(\\d\\d)(?::?(\\d\\d)(?:[.,]\\d+)?)?)?(?:Z|[+-](\\d\\d)(?::?(\\d\\d))?)?)?"
    )

    /** The error for a value that is none. */
    fun wrong(where: String, expected: String, got: Any?): BundleException {
        val shown = if (got == null) "null" else repr(got)
        return BundleException("$where must be $expected, not ${shown.cut(80)}")
    }

    /** An object with exactly these fields. */
    fun fields(where: String, value: Any?, expected: Set<String>): Map<String, Any?> {
        val data = entries(where, value)
        (expected - data.keys).minOrNull()?.let { throw BundleException("$where lacks the field ${repr(it)}") }
        (data.keys - expected).minOrNull()?.let {
            throw BundleException("$where has an unknown field ${repr(it.cut(80))}")
        }
        return data
    }

    @Suppress("UNCHECKED_CAST") // the parser makes no other keys
    fun entries(where: String, value: Any?): Map<String, Any?> =
        value as? Map<String, Any?> ?: throw wrong(where, "a JSON object", value)

    fun <T> list(where: String, value: Any?, check: (String, Any?) -> T): List<T> {
        if (value !is List<*>) throw wrong(where, "a list", value)
        return value.mapIndexed { index, item -> check("$where[$index]", item) }
    }

    fun whole(where: String, value: Any?, low: Long, high: Long): Long {
        if (value !is Long || value !in low..high) throw wrong(where, "a whole number from $low to $high", value)
        return value
    }

    /** Whether this is a number that a float can hold. */
    fun isNumber(value: Any?): Boolean =
        (value is Long || value is Double || value is BigInteger) && Math.abs((value as Number).toDouble()) < 1e30

    fun match(where: String, value: Any?, pattern: Regex): String {
        if (value !is String || !pattern.matches(value)) {
            throw wrong(where, "a short plain name (letters, digits, '.', '_', '-')", value)
        }
        return value
    }

    fun text(where: String, value: Any?): String = value as? String ?: throw wrong(where, "a text", value)

    /** A name that can be shown. */
    fun name(where: String, value: Any?): String {
        val points = codePoints(text(where, value))
        if (points.size !in 1..200 || !points.all(::printable)) {
            throw wrong(where, "1 to 200 printable characters", value)
        }
        return value as String
    }

    fun dimension(where: String, value: Any?): Any =
        if (value is String) match(where, value, DIMENSION) else whole(where, value, 1, 1L shl 31)

    fun time(where: String, value: Any?): String {
        val text = text(where, value)
        try {
            val parts = TIME.matchEntire(text) ?: throw DateTimeException(text)
            val numbers = parts.groupValues.drop(1).map { if (it.isEmpty()) 0 else it.toInt() }
            LocalDate.of(numbers[0], numbers[1], numbers[2])
            LocalTime.of(numbers[3], numbers[4], numbers[5])
            LocalTime.of(numbers[6], numbers[7])
        } catch (error: DateTimeException) {
            throw wrong(where, "an ISO 8601 time", value)
        }
        return text
    }
}
