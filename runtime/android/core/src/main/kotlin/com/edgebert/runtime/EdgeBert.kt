package com.edgebert.runtime

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
    private val options: LoadOptions,
) : AutoCloseable {
    @Volatile
    private var closed = false

    /** What the bundle says about itself. */
    public val manifest: Manifest get() = opened.manifest

    /** The labels, in the order of the logits. */
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

    /** Whether text becomes logits in one pass, so that [infer] has nothing to do. */
    public val readsText: Boolean get() = loaded is TextEngine

    /**
     * The answer to one text.
     *
     * @throws DataException the model takes pairs, or the text holds half of a surrogate pair.
     * @throws MainThreadException see [EdgeBert].
     * @throws EdgeBertException the model is closed.
     */
    public fun classify(text: String): Classification = classify(listOf(Text(text))).single()

    /** The answer to a pair of texts; throws as the other `classify`. */
    public fun classify(first: String, second: String): Classification = classify(listOf(Text(first, second))).single()

    /**
     * One answer a text, in order; throws as the other `classify`.
     *
     * @param batchSize texts in one run of a graph that takes batches. The company a text has can move the logits of an
     *   int8 graph a little; with 1 it never does.
     */
    @JvmOverloads
    public fun classify(texts: List<String>, batchSize: Int = BATCH_SIZE): List<Classification> =
        classify(texts.map { Text(it) }, batchSize)

    /** One answer a text or pair, in order; throws as the other `classify`. */
    @JvmName("classifyTexts")
    @JvmOverloads
    public fun classify(texts: List<Text>, batchSize: Int = BATCH_SIZE): List<Classification> =
        decode(logits(texts, batchSize))

    /** [classify] on `executor`. A failure arrives as the cause of the future's exception. */
    public fun classifyAsync(text: String, executor: Executor): CompletableFuture<Classification> =
        CompletableFuture.supplyAsync(Supplier { classify(text) }, executor)

    /** [classify] on `executor`. A failure arrives as the cause of the future's exception. */
    public fun classifyAsync(texts: List<String>, executor: Executor): CompletableFuture<List<Classification>> =
        CompletableFuture.supplyAsync(Supplier { classify(texts) }, executor)

    /** Logits, float [texts][labels]; throws as [classify]. */
    @JvmOverloads
    public fun logits(texts: List<Text>, batchSize: Int = BATCH_SIZE): Array<FloatArray> {
        val reader = loaded as? TextEngine ?: return infer(featurize(texts), batchSize)
        checkUsable()
        checkBatchSize(batchSize)
        return checked(reader.read(texts))
    }

    /** First stage of [classify]: texts to ids; throws as [classify]. */
    public fun featurize(texts: List<Text>): List<Features> {
        checkUsable()
        return texts.mapIndexed { index, text -> featurizer.features(text, index + 1) }
    }

    /**
     * Second stage: ids to logits, float [texts][labels]. Ids are checked before the engine sees them.
     *
     * @throws UsageException the engine reads text in one pass; see [readsText].
     * @throws BundleException an id outside its table, or a failing graph.
     */
    @JvmOverloads
    public fun infer(features: List<Features>, batchSize: Int = BATCH_SIZE): Array<FloatArray> {
        checkUsable()
        checkBatchSize(batchSize)
        val graph = loaded as? GraphEngine
            ?: throw UsageException("a $engine bundle reads text in one pass: call `logits` instead of `infer`")
        return checked(infer(graph, features, featurizer.inputs, manifest.shapes, batchSize))
    }

    /** Third stage: logits to answers. */
    public fun decode(logits: Array<FloatArray>): List<Classification> =
        logits.map { Decode.classification(it, labels) }

    /**
     * Replays the bundle's golden vectors here, one text at a time, as they were recorded.
     *
     * Ids must be equal. Logits may differ by `tolerance` times the scale (the largest golden logit, at least 1). The
     * default is for the engine and processor family that recorded them; another processor may round int8 activations
     * differently, for which 0.05 is a sensible tolerance. Labels must be equal, unless the two best golden logits lie
     * closer together than twice that difference (a tie).
     *
     * @throws BundleException the vectors are not of this model.
     */
    @JvmOverloads
    public fun selfTest(tolerance: Double = TOLERANCE): SelfTest = replay(this, tolerance)

    /** Frees the graph and closes the file. Closing twice is fine; what other threads are running may finish. */
    override fun close() {
        closed = true
        loaded.close()
        opened.close()
    }

    private fun checkUsable() {
        if (closed) throw EdgeBertException("the model ${opened.path} is closed; load it again")
        options.checkThread()
    }

    private fun checkBatchSize(size: Int) {
        if (size < 1) throw UsageException("batch_size must be a whole number from 1, not $size")
    }

    private fun checked(logits: Array<FloatArray>): Array<FloatArray> {
        logits.firstOrNull { it.size != labels.size }?.let {
            throw BundleException("${opened.path}: the graph gives ${it.size} logits for ${labels.size} labels")
        }
        return logits
    }

    public companion object {
        /** The version of this library, which is that of the Python package. */
        public const val VERSION: String = "0.1.0"

        private const val BATCH_SIZE = 32
        private const val TOLERANCE = 1e-4

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
            val manifest = bundle.manifest
            val name = Engines.choose(options.engine, manifest)
            if (manifest.task !in Decode.TASKS) {
                throw BundleException("its task ${repr(manifest.task)} is unknown to this EdgeBERT; upgrade EdgeBERT")
            }
            val featurizer = loadFeaturizer(manifest.featurizer, bundle::map)
            checkFeaturizer(featurizer, manifest)
            val model = bundle.map(bundle.modelName)
            val engine = Engines.load(name, model, manifest.inputSpecs, manifest.shapes, options.threads)
            try {
                checkMinimum(engine, manifest)
            } catch (error: BundleException) {
                engine.close()
                throw error
            }
            return EdgeBert(bundle, featurizer, engine, options)
        }

        /** The featurizer must be about the same ids as the graph. */
        private fun checkFeaturizer(featurizer: Featurizer, manifest: Manifest) {
            val described = shown(manifest.inputSpecs)
            val made = shown(featurizer.inputs)
            if (described != made) {
                throw BundleException("the featurizer makes the inputs $made, but the graph takes $described")
            }
            if (featurizer.maxLength != manifest.maxLength) {
                throw BundleException(
                    "the featurizer cuts texts at ${featurizer.maxLength}, but the graph takes ${manifest.maxLength}"
                )
            }
        }

        private fun shown(inputs: List<InputSpec>): String =
            inputs.joinToString(", ", "[", "]") { "(${repr(it.name)}, ${it.perLength}, ${it.rows})" }

        /** Whether the engine here is as new as the bundle asks for. */
        private fun checkMinimum(engine: Engine, manifest: Manifest) {
            val minimum = manifest.requires["minimum"] as String? ?: return
            val found = engine.version ?: return
            if (manifest.requires["package"] == engine.packageName && compare(found, minimum) < 0) {
                throw BundleException(
                    "it needs ${engine.packageName} $minimum or newer, installed is $found; " +
                        "raise its version in the app's Gradle dependencies"
                )
            }
        }

        private fun compare(a: String, b: String): Int {
            val (left, right) = listOf(a, b).map { text ->
                Regex("\\d+").findAll(text).take(3).map { it.value.take(9).toInt() }.toList()
            }
            for ((x, y) in left.zip(right)) if (x != y) return x.compareTo(y)
            return left.size.compareTo(right.size)
        }
    }
}
