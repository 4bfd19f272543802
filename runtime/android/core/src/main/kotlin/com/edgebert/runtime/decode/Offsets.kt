package com.edgebert.runtime.decode

/** Places of a String, its indices, in two other units: code points (Python) and bytes of UTF-8. */
internal class Offsets(private val text: String) {
    private val ascii = text.all { it.code < 0x80 }

    /** By index; two units of a surrogate pair are one code point of four bytes. */
    private val points: IntArray
    private val bytes: IntArray

    init {
        val size = if (ascii) 0 else text.length + 1
        points = IntArray(size)
        bytes = IntArray(size)
        for (index in 1 until size) {
            val unit = text[index - 1]
            points[index] = points[index - 1] + if (unit.isLowSurrogate()) 0 else 1
            bytes[index] = bytes[index - 1] + when {
                unit.code < 0x80 -> 1
                unit.code < 0x800 || unit.isSurrogate() -> 2
                else -> 3
            }
        }
    }

    fun points(index: Int): Int = if (ascii) index else points[index]

    fun bytes(index: Int): Int = if (ascii) index else bytes[index]
}
