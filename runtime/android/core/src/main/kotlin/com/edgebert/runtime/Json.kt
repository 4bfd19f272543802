package com.edgebert.runtime

import java.math.BigInteger
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/**
 * Strict JSON. Objects become maps in the order of the file, lists lists, whole numbers Long (BigInteger when longer),
 * others Double. Own code, because a manifest's rules are stricter than org.json's, and errors must say where.
 */
internal object Json {
    private const val MOST_BYTES = 64 shl 20
    private const val DEEPEST = 900
    private const val MOST_DIGITS = 4300

    /**
     * The value in UTF-8 bytes: no key twice, no NaN, no half of a surrogate pair.
     *
     * @throws BundleException starting with `where`.
     */
    fun parse(data: ByteArray, where: String): Any? {
        if (data.size > MOST_BYTES) throw BundleException("$where has ${data.size} bytes; at most $MOST_BYTES are read")
        val text = try {
            Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString()
        } catch (error: CharacterCodingException) {
            throw BundleException("$where is not valid JSON: it is not UTF-8", error)
        }
        try {
            return Parser(text).document()
        } catch (error: TooDeep) {
            throw BundleException("$where is nested too deeply")
        } catch (error: Malformed) {
            throw BundleException("$where is not valid JSON: ${error.message}")
        }
    }

    /** `value` as JSON: two spaces of indentation, keys in the order they come, no NaN. */
    fun write(value: Any?): String = StringBuilder().also { write(it, value, "\n") }.append('\n').toString()

    /** The same on one line. A line break within a text is escaped. */
    fun line(value: Any?): String = write(value).trimEnd().replace(Regex(",\n *"), ", ").replace(Regex("\n *"), "")

    private fun write(out: StringBuilder, value: Any?, line: String) {
        when (value) {
            null -> out.append("null")
            is String -> writeText(out, value)
            is Map<*, *> -> writeAll(out, value.entries, "{}", line) { entry ->
                writeText(out, entry.key as String)
                out.append(": ")
                write(out, entry.value, "$line  ")
            }
            is List<*> -> writeAll(out, value, "[]", line) { write(out, it, "$line  ") }
            is Double -> out.append(if (value.isNaN() || value.isInfinite()) throw notJson(value) else value.toString())
            is Boolean, is Int, is Long -> out.append(value.toString())
            else -> throw notJson(value)
        }
    }

    private fun notJson(value: Any) = IllegalArgumentException("JSON cannot hold $value")

    private fun <T> writeAll(out: StringBuilder, items: Collection<T>, ends: String, line: String, one: (T) -> Unit) {
        out.append(ends[0])
        for ((index, item) in items.withIndex()) {
            out.append(if (index == 0) "" else ",").append(line).append("  ")
            one(item)
        }
        out.append(if (items.isEmpty()) "" else line).append(ends[1])
    }

    private fun writeText(out: StringBuilder, text: String) {
        out.append('"')
        for (unit in text) {
            when {
                unit == '"' || unit == '\\' -> out.append('\\').append(unit)
                unit < ' ' || unit.isSurrogate() || unit == '\u2028' || unit == '\u2029' ->
                    out.append("\\u").append(Integer.toHexString(unit.code).padStart(4, '0'))
                else -> out.append(unit)
            }
        }
        out.append('"')
    }

    private class Malformed(message: String) : Exception(message)

    private class TooDeep : Exception()

    /** Recursive descent; messages as Python's json module words them. */
    private class Parser(private val text: String) {
        private var at = 0

        fun document(): Any? {
            if (text.startsWith('\uFEFF')) bad("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
            space()
            val value = value(0)
            space()
            if (at != text.length) bad("Extra data", at)
            return value
        }

        private fun bad(what: String, where: Int): Nothing {
            val line = 1 + text.substring(0, where).count { it == '\n' }
            val start = text.lastIndexOf('\n', where - 1) + 1
            val column = 1 + text.codePointCount(start, where)
            throw Malformed("$what: line $line column $column (char ${text.codePointCount(0, where)})")
        }

        private fun space() {
            while (at < text.length && text[at] in " \t\n\r") at++
        }

        private fun value(depth: Int): Any? {
            if (depth > DEEPEST) throw TooDeep()
            return when (text.getOrElse(at) { '\u0000' }) {
                '{' -> members(depth)
                '[' -> items(depth)
                '"' -> string()
                't' -> word("true", true)
                'f' -> word("false", false)
                'n' -> word("null", null)
                else -> number()
            }
        }

        private fun word(word: String, value: Any?): Any? {
            if (!text.startsWith(word, at)) bad("Expecting value", at)
            at += word.length
            return value
        }

        private fun members(depth: Int): Map<String, Any?> {
            val found = LinkedHashMap<String, Any?>()
            var count = 0
            at++
            space()
            if (taken('}')) return found
            while (true) {
                if (text.getOrNull(at) != '"') bad("Expecting property name enclosed in double quotes", at)
                val key = string()
                space()
                if (!taken(':')) bad("Expecting ':' delimiter", at)
                space()
                found[key] = value(depth + 1)
                count++
                space()
                if (taken('}')) break
                if (!taken(',')) bad("Expecting ',' delimiter", at)
                space()
            }
            if (found.size != count) throw Malformed("a key appears twice in one object")
            return found
        }

        private fun items(depth: Int): List<Any?> {
            val found = ArrayList<Any?>()
            at++
            space()
            if (taken(']')) return found
            while (true) {
                found += value(depth + 1)
                space()
                if (taken(']')) return found
                if (!taken(',')) bad("Expecting ',' delimiter", at)
                space()
            }
        }

        private fun taken(character: Char): Boolean {
            if (text.getOrNull(at) != character) return false
            at++
            return true
        }

        private fun string(): String {
            val begin = at++
            val found = StringBuilder()
            while (true) {
                val unit = text.getOrNull(at) ?: bad("Unterminated string starting at", begin)
                if (unit < ' ') bad("Invalid control character at", at)
                at++
                if (unit == '"') break
                if (unit == '\\') escape(found, begin) else found.append(unit)
            }
            val halves = codePoints(found.toString()).any { it in 0xD800..0xDFFF }
            // Legal JSON, but nothing that can be printed or tokenized.
            if (halves) throw Malformed("a text holds half of a surrogate pair")
            return found.toString()
        }

        private fun escape(found: StringBuilder, begin: Int) {
            val letter = text.getOrNull(at) ?: bad("Unterminated string starting at", begin)
            val plain = "\"\\/bfnrt".indexOf(letter)
            if (plain >= 0) {
                found.append("\"\\/\b\u000C\n\r\t"[plain])
                at++
                return
            }
            if (letter != 'u') bad("Invalid \\escape", at - 1)
            val digits = text.substring(minOf(at + 1, text.length), minOf(at + 5, text.length))
            if (digits.length < 4 || digits.any { it !in '0'..'9' && it.lowercaseChar() !in 'a'..'f' }) {
                bad("Invalid \\uXXXX escape", at)
            }
            found.append(digits.toInt(16).toChar())
            at += 5
        }

        private fun number(): Any {
            for (name in listOf("NaN", "Infinity", "-Infinity")) {
                if (text.startsWith(name, at)) throw Malformed("$name is not a JSON number")
            }
            val begin = at
            taken('-')
            if (digits() == 0) bad("Expecting value", begin)
            val zero = if (text[begin] == '-') begin + 1 else begin
            if (text[zero] == '0') at = zero + 1 // no leading zeros: what follows is extra
            var whole = true
            if (text.getOrNull(at) == '.' && text.getOrElse(at + 1) { ' ' } in '0'..'9') {
                at++
                digits()
                whole = false
            }
            if (exponent()) whole = false
            val shown = text.substring(begin, at)
            if (!whole) return shown.toDouble()
            if (shown.length > MOST_DIGITS) throw Malformed("a whole number has more than $MOST_DIGITS digits")
            return shown.toLongOrNull() ?: BigInteger(shown)
        }

        private fun exponent(): Boolean {
            if (text.getOrElse(at) { ' ' } !in "eE") return false
            val signed = if (text.getOrElse(at + 1) { ' ' } in "+-") at + 2 else at + 1
            if (text.getOrElse(signed) { ' ' } !in '0'..'9') return false
            at = signed
            digits()
            return true
        }

        private fun digits(): Int {
            val begin = at
            while (at < text.length && text[at] in '0'..'9') at++
            return at - begin
        }
    }
}
