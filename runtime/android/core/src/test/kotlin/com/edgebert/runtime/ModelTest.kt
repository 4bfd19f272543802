package com.edgebert.runtime

import com.edgebert.runtime.decode.Classification
import com.edgebert.runtime.decode.Embedding
import com.edgebert.runtime.engines.TfliteEngine
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** The native engine and both featurizers, against Python's answers. */
class ModelTest {
    private val single = Vectors.bundle("native")
    private val pairs = Vectors.bundle("native-pair")

    @Test
    fun `the same bits as Python`() {
        for (known in listOf(single, pairs)) EdgeBert.load(known.file).use { model ->
            val found = model.logits(known.texts).map { row -> row.map { it.toDouble() } }
            assertEquals(known.logits, found)
            val answers = model.classify(known.texts)
            assertEquals(known.labels, answers.map { it.label })
            for ((answer, expected) in answers.zip(known.probabilities)) {
                assertEquals(model.labels, answer.probabilities.keys.toList())
                for ((a, b) in answer.probabilities.values.zip(expected)) assertEquals(b, a, 1e-12)
                assertEquals(answer.probabilities.values.max(), answer.probability)
            }
            assertEquals(known.ids, ids(model.featurize(model.ask(known.texts))))
            val report = model.selfTest()
            assertTrue(report.passed, report.toString())
            assertEquals(0.0, report.maxDifference, 1e-5)
        }
    }

    @Test
    fun `WordPiece gives Python's ids`() {
        val known = Vectors.bundle("onnx")
        Bundle.open(known.file).use { bundle ->
            val featurizer = loadFeaturizer(bundle.manifest.featurizer, bundle::map)
            assertEquals(known.ids, ids(known.texts.map { featurizer.features(it, 1) }))
        }
    }

    @Test
    fun `threads do not change the answers`() {
        val many = (0 until 9).flatMap { single.texts }
        EdgeBert.load(single.file, LoadOptions(threads = 3)).use { model ->
            val found = model.logits(many).map { row -> row.map { it.toDouble() } }
            assertEquals((0 until 9).flatMap { single.logits }, found)
            assertEquals(
                "text 1000 is not valid Unicode (it holds half of a surrogate pair)",
                message<DataException> { model.logits(many.take(999) + Text("\ud800")) },
            )
        }
    }

    @Test
    fun `many callers at once, and one that closes`() {
        val pool = Executors.newFixedThreadPool(6)
        val model = EdgeBert.load(single.file)
        val jobs = (1..6).map {
            Callable {
                var answered = 0
                try {
                    for (round in 1..200) for ((index, text) in single.texts.withIndex()) {
                        assertEquals(single.labels[index], model.classify(text.first).label)
                        answered++
                    }
                } catch (error: EdgeBertException) {
                    assertTrue(error.message!!.contains("is closed; load it again"), error.message)
                }
                answered
            }
        }
        val running = jobs.map { pool.submit(it) }
        Thread.sleep(100)
        model.close()
        model.close()
        assertTrue(running.sumOf { it.get() } > 0)
        pool.shutdown()
    }

    @Test
    fun `one sentence for each mistake`() {
        EdgeBert.load(single.file).use { model ->
            assertEquals("this model takes one text, not a pair", message<DataException> { model.classify("a", "b") })
            assertEquals(
                "text 2 is not valid Unicode (it holds half of a surrogate pair)",
                message<DataException> { model.featurize(model.ask(listOf(Text("a"), Text("\udc00")))) },
            )
            message<UsageException> { model.classify(listOf("a"), 0) }
            assertEquals(
                "this model does classification: call `classify`", message<UsageException> { model.tag("a") },
            )
        }
        EdgeBert.load(pairs.file).use { model ->
            assertEquals(
                "this model takes pairs of texts: give (text_a, text_b)",
                message<DataException> { model.classify("a") },
            )
            assertEquals(pairs.labels[0], model.classify(pairs.texts[0].first, pairs.texts[0].second!!).label)
        }
        message<UsageException> { EdgeBert.load(single.file, LoadOptions(threads = 0)) }
        message<UsageException> { EdgeBert.load(single.file, LoadOptions(engine = "torch")) }
        assertEquals(
            "the onnx engine cannot run a bundle of format native; leave the engine out",
            message<UsageException> { EdgeBert.load(single.file, LoadOptions(engine = "onnx")) },
        )
        val closed = EdgeBert.load(single.file).also { it.close() }
        val sentence = "the model ${single.file} is closed; load it again"
        assertEquals(sentence, message<EdgeBertException> { closed.classify("a") })
    }

    @Test
    fun `an engine that is not there is named with the Gradle line that adds it`() {
        val file = Vectors.bundle("onnx").file
        val error = assertThrows<MissingEngineException> { EdgeBert.load(file) }
        assertEquals("MissingExtraError", error.kind)
        val sentence = Regex(
            "this bundle needs ONNX Runtime, which is not in the app; add to its Gradle dependencies: " +
                "implementation\\(\"com\\.microsoft\\.onnxruntime:onnxruntime-android:[0-9.]+\"\\)"
        )
        assertTrue(sentence.matches(error.message!!), error.message)
        // The adapter is there, but not what it stands on.
        val type = "ai.onnxruntime.OrtEnvironment"
        val other = assertThrows<MissingEngineException> { EngineSupport.require(type, "onnx") }
        assertEquals(error.message, other.message)
    }

    @Test
    fun `an engine whose native library does not load says so in a sentence`() {
        val reasons = listOf(
            UnsatisfiedLinkError("no tensorflowlite_jni\nmore"),
            ExceptionInInitializerError(RuntimeException("no tensorflowlite_jni")),
            NoClassDefFoundError("no tensorflowlite_jni"),
        )
        val graph = GraphSpec(emptyList(), emptyList(), Shapes(null, null, 1, 8))
        for (reason in reasons) {
            TfliteEngine.reason = reason
            val error = assertThrows<EdgeBertException> {
                Engines.load("tflite", ByteBuffer.allocateDirect(1), graph, 1)
            }
            assertEquals("EdgeBertError", error.kind)
            val start = "LiteRT is in the app, but cannot be loaded (no tensorflowlite_jni); check that"
            assertTrue(error.message!!.startsWith(start), error.message)
            assertTrue(error.message!!.contains("implementation(\"com.google.ai.edge.litert:litert:"), error.message)
        }
    }

    @Test
    fun `each task by its own verb`() {
        fun answers(task: String, ask: (EdgeBert, String) -> Map<String, Any?>) {
            val known = Vectors.map(Vectors.map("tasks")[task])
            EdgeBert.load(File(known["file"] as String)).use { model ->
                val texts = (known["texts"] as List<*>).map { it as String }
                for ((text, expected) in texts.zip(known["answers"] as List<*>)) {
                    Vectors.compare("$task of $text", expected, ask(model, text))
                    assertEquals(ask(model, text), model.predict(text).toJson())
                }
                assertTrue(model.selfTest().passed)
                val said = message<UsageException> { model.classify("a") }
                assertTrue(said.startsWith("this model does $task: call `"), said)
            }
        }
        answers("regression") { model, text -> model.score(text).toJson() }
        answers("multi-label") { model, text -> model.labelsOf(text).toJson() }
        answers("embedding") { model, text -> Embedding(model.embed(text)).toJson() }
        val file = File(Vectors.map(Vectors.map("tasks")["regression"])["file"] as String)
        assertEquals(
            "the answers of regression have no probability; leave out the threshold.",
            message<UsageException> { EdgeBert.load(file, LoadOptions(threshold = 0.5)) },
        )
    }

    @Test
    fun `what Python finds wrong with a self-test`() {
        val passed = Vectors.maps("self_tests").map { known ->
            val report = EdgeBert.load(File(known["file"] as String)).use { it.selfTest() }
            val expected = (known["failures"] as List<*>).map { it as String }
            assertEquals(expected.sorted(), report.failures.sorted())
            assertEquals(known["max_difference"] as Double, report.maxDifference, 1e-6)
            assertEquals(expected.isEmpty(), report.passed)
            report.passed
        }
        assertTrue(passed.any { it } && passed.count { !it } > 5)
    }

    @Test
    fun `below the threshold a model is not sure`() {
        val least = single.probabilities.map { it.max() }.sorted()[single.texts.size / 2]
        EdgeBert.load(single.file, LoadOptions(threshold = least)).use { model ->
            val answers = model.predict(single.texts).map { it as Classification }
            assertEquals(answers.map { it.probability >= least }, answers.map { it.sure })
            assertEquals(setOf(true, false), answers.map { it.sure }.toSet())
            assertEquals(single.labels, answers.map { it.label })
            assertEquals(answers.map { !it.sure }, answers.map { it.summary().startsWith("-\t") })
            assertTrue(model.selfTest().failures.all { "the answer: 'sure' is false, not true" in it })
        }
        assertEquals(
            "the threshold 1.5 must be a probability between 0 and 1.",
            message<UsageException> { EdgeBert.load(single.file, LoadOptions(threshold = 1.5)) },
        )
    }

    @Test
    fun `bundles that no model can be made of`() {
        for (known in Vectors.maps("refused")) {
            val found = message<BundleException> { EdgeBert.load(File(known["file"] as String)) }
            assertEquals((known["error"] as String).replace(Regex("a version \\d+ table"), "a table"), found)
        }
    }

    @Test
    fun `asynchronous calls, and a failure as their cause`() {
        val pool = Executors.newSingleThreadExecutor()
        EdgeBert.load(single.file).use { model ->
            assertEquals(single.labels[0], model.classifyAsync(single.texts[0].first, pool).get().label)
            val many = model.classifyAsync(single.texts.map { it.first }, pool).get()
            assertEquals(single.labels, many.map { it.label })
            val error = assertThrows<ExecutionException> { model.classifyAsync("\ud800", pool).get() }
            assertTrue(error.cause is DataException)
        }
        pool.shutdown()
    }

    private inline fun <reified T : Throwable> message(noinline call: () -> Unit): String =
        assertThrows<T> { call() }.message.orEmpty()

    private fun ids(features: List<Features>) = features.map { item -> item.mapValues { it.value.toList() } }
}
