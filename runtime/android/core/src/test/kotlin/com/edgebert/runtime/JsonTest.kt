package com.edgebert.runtime

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class JsonTest {
    @Test
    fun `Python's verdict on each text`() {
        for (known in Vectors.maps("json")) {
            val text = (known["json"] as String).toByteArray()
            val expected = known["error"] as String
            val found = try {
                val value = Json.parse(text, "it")
                if ("1E400" !in String(text) && "12345678901234567890" !in String(text)) {
                    assertEquals(value, Json.parse(Json.write(value).toByteArray(), "again"))
                    assertEquals(value, Json.parse((known["again"] as String).toByteArray(), "Python's"))
                }
                ""
            } catch (error: BundleException) {
                error.message
            }
            assertEquals(expected, found, known["json"] as String)
        }
    }

    @Test
    fun `what is not UTF-8 or half a character is refused`() {
        assertThrows<BundleException> { Json.parse(byteArrayOf(34, -1, 34), "it") }
        assertThrows<BundleException> { Json.parse("\"\\ud800\"".toByteArray(), "it") }
        assertThrows<IllegalArgumentException> { Json.write(Double.NaN) }
        val value = mapOf("a" to listOf(1, listOf("x\ny,  z"), emptyList<Int>()), "b" to true)
        assertEquals("{\"a\": [1, [\"x\\u000ay,  z\"], []], \"b\": true}", Json.line(value))
    }

    @Test
    fun `values as Python writes them`() {
        val numbers = listOf(null, true, 1L, 1.0, 1e22, 2.5, 1.5e-7)
        val value = mapOf("it's" to numbers, "a\"b" to "\n\u202e\u00e9\ud83d\ude00'\"\\")
        assertEquals(
            "{\"it's\": [None, True, 1, 1.0, 1e+22, 2.5, 1.5e-07], 'a\"b': '\\n\\u202eé😀\\'\"\\\\'}",
            repr(value),
        )
        val short = listOf(0.0012345, 1.2345e-5, 0.05, 123.4, 1234.0, -2e-5, 0.0).map { shown(it, 3) }
        assertEquals(listOf("0.00123", "1.23e-05", "0.05", "123", "1.23e+03", "-2e-05", "0"), short)
        assertEquals(listOf("0.1250", "-0.0000", "2.5000"), listOf(0.125, -1e-9, 2.5).map { decimals(it, 4) })
        assertEquals(listOf("0.12", "0.38"), listOf(0.125, 0.375).map { decimals(it, 2) })
    }
}
