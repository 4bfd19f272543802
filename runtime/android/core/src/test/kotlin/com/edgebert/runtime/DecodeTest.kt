package com.edgebert.runtime

import com.edgebert.runtime.decode.Context
import com.edgebert.runtime.decode.Decoders
import com.edgebert.runtime.decode.Offsets
import com.edgebert.runtime.decode.spansOf
import java.io.File
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** Decoders on numbers that Python made up: the same pieces and the same answers as Python's. */
class DecodeTest {
    @Test
    fun `Python's pieces and answers, of every task`() {
        val cases = Vectors.maps("decode")
        assertEquals(Decoders.KNOWN.keys, cases.map { it["task"] }.toSet())
        for ((number, known) in cases.withIndex()) {
            val task = known["task"] as String
            val specs = (known["outputs"] as List<*>).map { spec(Vectors.map(it)) }
            val decoder = Decoders.KNOWN.getValue(task).make(task, Context(specs, Vectors.map(known["settings"])))
            val featurizer = featurizer(known)
            for (item in known["texts"] as List<*>) {
                val expected = Vectors.map(item)
                val text = Vectors.text(expected["text"])
                val where = "$task, case $number, $text"
                val asked = Asked(text, decoder.cut(text, 1, featurizer))
                assertEquals(expected["pieces"], asked.pieces.map { piece(asked, it) }, where)
                val answer = decoder.decode(asked, (expected["numbers"] as List<*>).map { outputs(it) }, featurizer)
                Vectors.compare(where, expected["answer"], answer.toJson())
                assertEquals(expected["summary"], answer.summary(), where)
                assertEquals(expected["sure"], answer.sure, where)
            }
        }
    }

    @Test
    fun `Python's spans of tokens`() {
        for (known in Vectors.maps("spans") + Vectors.map("words")) {
            val featurizer = featurizer(known)
            for ((index, text) in (known["texts"] as List<*>).map { Vectors.text(it) }.withIndex()) {
                for ((name, cut) in listOf("spans" to true, "uncut" to false)) {
                    val expected = (known[name] as List<*>)[index]
                    assertEquals(expected, inCodePoints(text, featurizer.spans(text, cut)), "$name of $text")
                }
            }
        }
    }

    @Test
    fun `Python's words`() {
        val known = Vectors.map("words")
        val featurizer = featurizer(known)
        val inputs = featurizer.inputs.map { listOf(it.name, it.perLength.toLong(), it.rows) }
        assertEquals(known["inputs"], inputs)
        for ((text, ids) in (known["texts"] as List<*>).zip(known["ids"] as List<*>)) {
            val found = featurizer.features(Vectors.text(text)).mapValues { (_, its) -> its.map { it.toLong() } }
            assertEquals(ids, found, "$text")
        }
    }

    @Test
    fun `offsets in three units`() {
        val text = "aé中👋\u0301b"
        val offsets = Offsets(text)
        val places = (0..text.length).filter { it == text.length || !text[it].isLowSurrogate() }
        assertEquals(places.map { text.codePointCount(0, it) }, places.map { offsets.points(it) })
        assertEquals(places.map { text.substring(0, it).toByteArray().size }, places.map { offsets.bytes(it) })
        assertEquals(listOf(2, 2), listOf(Offsets("plain").points(2), Offsets("plain").bytes(2)))
    }

    @Test
    fun `spans begin at B, at an I of another label, and at an I that stands alone`() {
        val tags = listOf("I-A", "I-A", "I-B", "O", "B-A", "B-A", "I-A", "NOUN", "I-", "B-B")
        val expected = listOf(
            Triple("A", 0, 1), Triple("B", 2, 2), Triple("A", 4, 4), Triple("A", 5, 6), Triple("B", 9, 9),
        )
        assertEquals(expected, spansOf(tags))
    }

    private fun spec(value: Map<String, Any?>) = OutputSpec(
        value["name"] as String,
        (value["width"] as Long).toInt(),
        value["per_token"] as Boolean,
        (value["labels"] as List<*>).map { it as String },
    )

    private fun featurizer(known: Map<String, Any?>): Featurizer =
        loadFeaturizer(Vectors.map(known["featurizer"])) { name ->
            val content = File(Vectors.folder, name).readBytes()
            ByteBuffer.allocateDirect(content.size).put(content).apply { rewind() }
        }

    private fun outputs(value: Any?): Outputs = Vectors.map(value).mapValues { (_, item) ->
        val output = Vectors.map(item)
        val shape = Vectors.doubles(output["shape"]).map { it.toInt() }
        Tensor(shape.toIntArray(), Vectors.doubles(output["values"]).map { it.toFloat() }.toFloatArray())
    }

    /** A piece as Python writes it: its place is in code points there. */
    private fun piece(asked: Asked, piece: Piece): Map<String, Any?> {
        val text = asked.text.second ?: asked.text.first
        val second = piece.text.second
        val shown: Any = if (second == null) piece.text.first else listOf(piece.text.first, second)
        return mapOf("text" to shown, "start" to text.codePointCount(0, piece.start).toLong())
    }

    private fun inCodePoints(text: Text, spans: IntArray): List<List<Long>> = (0 until spans.size step 4).map { at ->
        val half = if (spans[at] == 1) text.second!! else text.first
        val places = (2..3).map { half.codePointCount(0, spans[at + it]) }
        listOf(spans[at], spans[at + 1], places[0], places[1]).map { it.toLong() }
    }
}
