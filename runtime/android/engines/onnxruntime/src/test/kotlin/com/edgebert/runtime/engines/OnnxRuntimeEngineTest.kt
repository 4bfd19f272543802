package com.edgebert.runtime.engines

import com.edgebert.runtime.Answers
import com.edgebert.runtime.Bundle
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EdgeBert
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.GraphSpec
import com.edgebert.runtime.InputSpec
import com.edgebert.runtime.LoadOptions
import com.edgebert.runtime.OutputSpec
import com.edgebert.runtime.Outputs
import com.edgebert.runtime.Vectors
import java.nio.ByteBuffer
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** The adapter with the desktop's ONNX Runtime, against Python's answers. */
class OnnxRuntimeEngineTest {
    private val known = Vectors.bundle("onnx")

    @Test
    fun `Python's logits, labels and golden vectors`() {
        for (answers in listOf(known, Vectors.bundle("ngram-onnx"))) EdgeBert.load(answers.file).use { model ->
            for (batch in listOf(1, 7)) compare(answers, model, batch)
            assertEquals(answers.labels, model.classify(answers.texts, 1).map { it.label })
            val ids = model.featurize(model.ask(answers.texts)).map { item -> item.mapValues { it.value.toList() } }
            assertEquals(answers.ids, ids)
            compareTags(answers, model.outputs(answers.texts, 5))
            val report = model.selfTest()
            assertTrue(report.passed, report.toString())
            assertEquals("onnxruntime", model.engineVersion.first)
            assertTrue(model.engineVersion.second!!.startsWith("1."))
        }
    }

    @Test
    fun `a cascade answers with either model, as in Python`() {
        val answers = Vectors.bundle("cascade")
        EdgeBert.load(answers.file).use { model ->
            for (batch in listOf(1, 7)) compare(answers, model, batch)
            assertEquals(answers.labels, model.classify(answers.texts, 1).map { it.label })
            assertTrue(model.readsText)
            val report = model.selfTest()
            assertTrue(report.passed, report.toString())
        }
    }

    @Test
    fun `many threads, and one that closes`() {
        val pool = Executors.newFixedThreadPool(4)
        val model = EdgeBert.load(known.file, LoadOptions(threads = 2))
        val running = (1..4).map {
            pool.submit(Callable {
                var answered = 0
                try {
                    for (round in 1..50) for ((index, text) in known.texts.withIndex()) {
                        assertEquals(known.labels[index], model.classify(text.first).label)
                        answered++
                    }
                } catch (error: EdgeBertException) {
                    assertTrue(error.message!!.contains("is closed; load it again"), error.message)
                }
                answered
            })
        }
        Thread.sleep(200)
        model.close()
        assertTrue(running.sumOf { it.get() } > 0)
        pool.shutdown()
    }

    @Test
    fun `a graph that is none, and one with other inputs`() {
        val graph = Bundle.open(known.file).use { it.manifest.graph }
        val junk = ByteBuffer.allocateDirect(100)
        val refused = assertThrows<BundleException> { OnnxRuntimeEngine(junk, graph, 1) }
        val sentence = Regex("ONNX Runtime 1\\.\\d+\\.\\d+ refuses the graph: .+")
        assertTrue(sentence.matches(refused.message!!), refused.message)
        Bundle.open(known.file).use { bundle ->
            val model = bundle.map("model.onnx")
            val inputs = assertThrows<BundleException> {
                OnnxRuntimeEngine(model, GraphSpec(listOf(InputSpec("ids", 1, 10)), graph.outputs, graph.shapes), 1)
            }
            assertTrue(inputs.message!!.endsWith("but must take int ids named ids"), inputs.message)
            val outputs = assertThrows<BundleException> {
                OnnxRuntimeEngine(model, GraphSpec(graph.inputs, listOf(OutputSpec("slots", 2)), graph.shapes), 1)
            }
            assertEquals("ONNX Runtime: the graph has no output named 'slots'", outputs.message)
        }
    }

    /** The output with a row for each token, which only one of the bundles has, cut to each text's tokens. */
    private fun compareTags(answers: Answers, outputs: List<Outputs>) {
        val tags = outputs.mapNotNull { it["tags"] }
        assertEquals(answers.tags.size, tags.size)
        for ((found, expected) in tags.zip(answers.tags)) {
            assertEquals(listOf(expected.size / 2, 2), found.shape.toList())
            for ((a, b) in found.values.zip(expected)) assertEquals(b, a.toDouble(), 1e-4)
        }
    }

    private fun compare(answers: Answers, model: EdgeBert, batch: Int) {
        for ((found, expected) in model.outputs(answers.texts, batch).zip(answers.logits)) {
            for ((a, b) in found.getValue("logits").values.zip(expected)) assertEquals(b, a.toDouble(), 1e-4)
        }
    }
}
