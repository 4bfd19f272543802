package com.edgebert.runtime

import com.edgebert.runtime.decode.Classification
import com.edgebert.runtime.decode.Context
import com.edgebert.runtime.decode.Decoder
import com.edgebert.runtime.decode.Decoders
import com.edgebert.runtime.decode.Embedding
import com.edgebert.runtime.decode.Filled
import com.edgebert.runtime.decode.FoundAnswer
import com.edgebert.runtime.decode.MultiLabel
import com.edgebert.runtime.decode.Score
import com.edgebert.runtime.decode.Tagging
import com.edgebert.runtime.decode.Understanding
import java.io.File
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import java.util.function.Supplier

/**
 * A bundle ready to answer. Safe from several threads; [close] it, or use it in a `use` block.
 *
 * ```
 * EdgeBert.load(context, "sentiment.edgebert").use { model ->
 *     println(model.classify("a gem of a film").label)
 * }
 * ```
 *
 * A call from Android's main thread fails with [MainThreadException], unless [LoadOptions.allowMainThread] is set:
 * loading reads the whole bundle, and a large model takes longer than a frame. `classifyAsync` runs on an executor.
 */
public class EdgeBert private constructor(
    private val opened: Bundle,
    private val featurizer: Featurizer,
    private val loaded: Engine,
    private val decoder: Decoder,
    private val options: LoadOptions,
    private val first: EdgeBert?,
) : AutoCloseable {
    @Volatile
    private var closed = false

    /** What the bundle says about itself. */
    public val manifest: Manifest get() = opened.manifest

    /** The labels of the first output that has some, in the order of its columns; empty where none has. */
    public val labels: List<String> get() = manifest.labels

    /** The open bundle. */
    public val bundle: Bundle get() = opened

    /** The engine's name: "native", "onnx", "tflite" or "executorch". */
    public val engine: String get() = manifest.format

    /** The package that runs the graph, as in a manifest's `requires`, and its version where the engine tells it. */
    public val engineVersion: Pair<String, String?> get() = loaded.packageName to loaded.version

    /** Threads used inside one run. */
    public val threads: Int get() = options.threads

    /** Whether the model takes pairs of texts. */
    public val takesPairs: Boolean get() = featurizer.pair

    /** Whether the engine makes outputs of text in one pass, so that [infer] looks at no ids. */
    public val readsText: Boolean get() = first != null || loaded is TextEngine

    /**
     * The answer to one text, of the kind that the model's task gives: a [Classification], a [Tagging], …
     *
     * @throws DataException the model takes pairs, or the text holds half of a surrogate pair.
     * @throws MainThreadException see [EdgeBert].
     * @throws EdgeBertException the model is closed.
     */
    public fun predict(text: String): Answer = predict(listOf(Text(text))).single()

    /** The answer to a pair of texts; throws as the other `predict`. */
    public fun predict(first: String, second: String): Answer = predict(listOf(Text(first, second))).single()

    /**
     * One answer a text or pair, in order; throws as the other `predict`.
     *
     * @param batchSize texts in one run of a graph that takes batches. The company a text has can move the outputs of
     *   an int8 graph a little; with 1 it never does.
     */
    @JvmOverloads
    public fun predict(texts: List<Text>, batchSize: Int = BATCH_SIZE): List<Answer> {
        val asked = ask(texts)
        for ((index, text) in texts.withIndex()) decoder.check(text, index + 1)
        return decode(asked, answered(asked, batchSize))
    }

    /**
     * The label of a text; of a model that does classification.
     *
     * @throws UsageException the model does something else; the message names the method to call.
     * @throws DataException and others, as [predict].
     */
    public fun classify(text: String): Classification = only("classification", Text(text))

    /** The label of a pair of texts; throws as the other `classify`. */
    public fun classify(first: String, second: String): Classification = only("classification", Text(first, second))

    /** One label a text, in order; throws as the other `classify`. See [predict] for the batch size. */
    @JvmOverloads
    public fun classify(texts: List<String>, batchSize: Int = BATCH_SIZE): List<Classification> =
        classify(texts.map { Text(it) }, batchSize)

    /** One label a text or pair, in order; throws as the other `classify`. See [predict] for the batch size. */
    @JvmName("classifyTexts")
    @JvmOverloads
    public fun classify(texts: List<Text>, batchSize: Int = BATCH_SIZE): List<Classification> =
        answers("classification", texts, batchSize)

    /** [classify] on `executor`. A failure arrives as the cause of the future's exception. */
    public fun classifyAsync(text: String, executor: Executor): CompletableFuture<Classification> =
        CompletableFuture.supplyAsync(Supplier { classify(text) }, executor)

    /** [classify] on `executor`. A failure arrives as the cause of the future's exception. */
    public fun classifyAsync(texts: List<String>, executor: Executor): CompletableFuture<List<Classification>> =
        CompletableFuture.supplyAsync(Supplier { classify(texts) }, executor)

    /** The score of a text; of a model that does regression; throws as [classify]. */
    public fun score(text: String): Score = only("regression", Text(text))

    /** The score of a pair of texts; throws as the other `score`. */
    public fun score(first: String, second: String): Score = only("regression", Text(first, second))

    /** All labels that fit a text; of a model that does multi-label; throws as [classify]. */
    public fun labelsOf(text: String): MultiLabel = only("multi-label", Text(text))

    /** All labels that fit a pair of texts; throws as the other `labelsOf`. */
    public fun labelsOf(first: String, second: String): MultiLabel = only("multi-label", Text(first, second))

    /** The words of a text of any length and their tags; of a model that does token-classification; as [classify]. */
    public fun tag(text: String): Tagging = only("token-classification", Text(text))

    /** What a text wants and with what; of a model that does intent-slots; throws as [classify]. */
    public fun understand(text: String): Understanding = only("intent-slots", Text(text))

    /** What in a context of any length answers a question; of a model that does question-answering; as [classify]. */
    public fun answer(question: String, context: String): FoundAnswer =
        only("question-answering", Text(question, context))

    /** The words that fit where a text holds [MASK]; of a model that does masked-lm; throws as [classify]. */
    public fun fill(text: String): Filled = only("masked-lm", Text(text))

    /** A vector of length 1 for a text; of a model that does embedding; throws as [classify]. */
    public fun embed(text: String): FloatArray = only<Embedding>("embedding", Text(text)).vector

    private fun <A : Answer> only(task: String, text: Text): A = answers<A>(task, listOf(text), 1).single()

    @Suppress("UNCHECKED_CAST") // the task's decoder gives no other answers
    private fun <A : Answer> answers(task: String, texts: List<Text>, batchSize: Int): List<A> {
        if (manifest.task != task) {
            val verb = Decoders.KNOWN.getValue(manifest.task).verb
            throw UsageException("this model does ${manifest.task}: call `$verb`")
        }
        return predict(texts, batchSize) as List<A>
    }

    /**
     * Outputs of the graph, of each piece of the texts (a task that reads long texts cuts them); throws as [predict].
     */
    @JvmOverloads
    public fun outputs(texts: List<Text>, batchSize: Int = BATCH_SIZE): List<Outputs> = answered(ask(texts), batchSize)

    /**
     * The numbers of the only output, float [texts][width]; throws as [predict].
     *
     * @throws UsageException the model has several outputs, or one with a row for each token: see [outputs].
     */
    @JvmOverloads
    public fun logits(texts: List<Text>, batchSize: Int = BATCH_SIZE): Array<FloatArray> {
        val only = manifest.graph.outputs.singleOrNull()
        if (only == null || only.perToken) {
            throw UsageException("a ${manifest.task} model has more than one row of logits a text: call `outputs`")
        }
        return outputs(texts, batchSize).map { it.getValue(only.name).values }.toTypedArray()
    }

    /** First stage of [predict]: what the network reads of each text; throws as [predict]. */
    public fun ask(texts: List<Text>): List<Asked> {
        checkUsable()
        return texts.mapIndexed { index, text -> Asked(text, decoder.cut(text, index + 1, featurizer)) }
    }

    /** Second stage: ids of each piece of the texts; throws as [predict]. */
    public fun featurize(asked: List<Asked>): List<Features> {
        checkUsable()
        return asked.flatMapIndexed { index, one -> one.pieces.map { featurizer.features(it.text, index + 1) } }
    }

    /**
     * Third stage: outputs of each piece. Ids are checked before the engine sees them; an engine that [readsText] reads
     * the pieces themselves.
     *
     * @throws BundleException an id outside its table, or a failing graph.
     */
    @JvmOverloads
    public fun infer(asked: List<Asked>, features: List<Features>, batchSize: Int = BATCH_SIZE): List<Outputs> {
        checkUsable()
        if (batchSize < 1) throw UsageException("batch_size must be a whole number from 1, not $batchSize")
        return if (first == null) run(asked, features, batchSize) else cascade(first, asked, features, batchSize)
    }

    private fun run(asked: List<Asked>, features: List<Features>, batchSize: Int): List<Outputs> = when (loaded) {
        is TextEngine -> read(loaded, asked)
        is GraphEngine -> infer(loaded, features, manifest.graph, batchSize)
        else -> throw IllegalStateException("an engine is of one of the two kinds")
    }

    /** The logits of a cascade: where the first model is sure its own, as if they were this one's. */
    private fun cascade(first: EdgeBert, asked: List<Asked>, features: List<Features>, batchSize: Int): List<Outputs> {
        val output = manifest.graph.outputs[0]
        val threshold = checkNotNull(manifest.cascade)
        val answers = first.classify(asked.map { it.text }, batchSize)
        val again = answers.indices.filter { answers[it].probability < threshold }
        val part = again.map { asked[it] }
        val ids = if (features.isEmpty()) featurize(part) else again.map { features[it] }
        val ours = if (again.isEmpty()) emptyMap() else again.zip(run(part, ids, batchSize)).toMap()
        return answers.mapIndexed { index, answer ->
            ours[index] ?: mapOf(output.name to Tensor(intArrayOf(output.width), asLogits(answer, output.labels)))
        }
    }

    private fun asLogits(answer: Classification, labels: List<String>): FloatArray {
        val temperature = Context(manifest.graph.outputs, manifest.settings).temperature(manifest.outputs[0].name)
        return FloatArray(labels.size) {
            (Math.log(maxOf(answer.probabilities.getValue(labels[it]), TINY)) * temperature).toFloat()
        }
    }

    /** Fourth stage: answers, one a text. */
    public fun decode(asked: List<Asked>, outputs: List<Outputs>): List<Answer> {
        var at = 0
        return asked.map { one ->
            at += one.pieces.size
            decoder.decode(one, outputs.subList(at - one.pieces.size, at), featurizer)
        }
    }

    private fun answered(asked: List<Asked>, batchSize: Int): List<Outputs> =
        infer(asked, if (readsText) emptyList() else featurize(asked), batchSize)

    private fun read(reader: TextEngine, asked: List<Asked>): List<Outputs> {
        val name = manifest.outputs[0].name
        val rows = reader.read(asked.flatMap { one -> one.pieces.map { it.text } })
        return rows.map { mapOf(name to Tensor(intArrayOf(it.size), it)) }
    }

    /**
     * Replays the bundle's golden vectors here, one text at a time, as they were recorded.
     *
     * Ids must be equal. Outputs may differ by `tolerance` times the scale (the largest golden number of the output, at
     * least 1). The default is for the engine and processor family that recorded them; another processor may round int8
     * activations differently, for which 0.05 is a sensible tolerance. Answers must be the same, probabilities nearly
     * so, unless the golden decision was closer than that (a tie).
     *
     * @throws BundleException the vectors are not of this model.
     */
    @JvmOverloads
    public fun selfTest(tolerance: Double = TOLERANCE): SelfTest {
        val found = replay(this, tolerance)
        val inner = first?.selfTest(tolerance) ?: return found
        val failures = found.failures + inner.failures.map { "first/: $it" }
        return SelfTest(failures.isEmpty(), found.checked, maxOf(found.maxDifference, inner.maxDifference), failures)
    }

    /** Frees the graph and closes the file. Closing twice is fine; what other threads are running may finish. */
    override fun close() {
        closed = true
        first?.close()
        loaded.close()
        opened.close()
    }

    private fun checkUsable() {
        if (closed) throw EdgeBertException("the model ${opened.path} is closed; load it again")
        options.checkThread()
    }

    public companion object {
        /** The version of this library, which is that of the Python package. */
        public const val VERSION: String = "0.1.0"

        private const val BATCH_SIZE = 32
        private const val TOLERANCE = 1e-4
        private const val TINY = 1e-30 // in place of a probability of 0

        /**
         * Opens and verifies a bundle and loads its graph.
         *
         * @throws BundleException missing, damaged, unsafe, wrongly signed, or made for another runtime.
         * @throws UsageException an engine that does not run this bundle, or a wrong number of threads.
         * @throws MissingEngineException the engine is not in the app; the message holds the Gradle line that adds it.
         * @throws EdgeBertException the engine's native library cannot be loaded on this device.
         * @throws MainThreadException see [EdgeBert].
         */
        @JvmStatic
        @JvmOverloads
        public fun load(file: File, options: LoadOptions = LoadOptions()): EdgeBert {
            options.checkThread()
            return load(Bundle.open(file, options.publicKey), options)
        }

        /**
         * Loads the graph of an open bundle, which the model owns from now on, also when this fails. Throws as the
         * other `load`; the key in `options` is not looked at: `Bundle.open` has checked the signature.
         */
        @JvmStatic
        @JvmOverloads
        public fun load(bundle: Bundle, options: LoadOptions = LoadOptions()): EdgeBert {
            try {
                return open(bundle, options)
            } catch (error: BundleException) {
                bundle.close()
                val reason = error.message.orEmpty().removePrefix("${bundle.path}: ")
                throw BundleException("${bundle.path}: $reason", error)
            } catch (error: Throwable) {
                bundle.close()
                throw error
            }
        }

        private fun open(bundle: Bundle, options: LoadOptions): EdgeBert {
            options.checkThread()
            val inner = if (bundle.manifest.cascade == null) null else open(bundle.part(), options.copy(engine = null))
            val parts = Loading.load(bundle, options)
            return EdgeBert(bundle, parts.featurizer, parts.engine, parts.decoder, options, inner)
        }
    }
}
