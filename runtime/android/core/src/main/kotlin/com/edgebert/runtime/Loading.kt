package com.edgebert.runtime

import com.edgebert.runtime.decode.Context
import com.edgebert.runtime.decode.Decoder
import com.edgebert.runtime.decode.Decoders

/** What a model is made of, out of an open bundle; each checked against the others. */
internal object Loading {
    class Parts(val featurizer: Featurizer, val engine: Engine, val decoder: Decoder)

    fun load(bundle: Bundle, options: LoadOptions): Parts {
        val manifest = bundle.manifest
        val name = Engines.choose(options.engine, manifest)
        val task = Decoders.KNOWN[manifest.task]
            ?: throw BundleException("its task ${repr(manifest.task)} is unknown to this EdgeBERT; upgrade EdgeBERT")
        val threshold = options.threshold?.also { task.checkThreshold(manifest.task, it) }
        val settings = manifest.settings + if (threshold == null) emptyMap() else mapOf("threshold" to threshold)
        val decoder = task.make(manifest.task, Context(manifest.graph.outputs, settings))
        val featurizer = loadFeaturizer(manifest.featurizer, bundle::map)
        checkFeaturizer(featurizer, manifest)
        val engine = Engines.load(name, bundle.map(bundle.modelName), manifest.graph, options.threads)
        try {
            checkMinimum(engine, manifest)
        } catch (error: BundleException) {
            engine.close()
            throw error
        }
        return Parts(featurizer, engine, decoder)
    }

    /** The featurizer must be about the same ids as the graph. */
    private fun checkFeaturizer(featurizer: Featurizer, manifest: Manifest) {
        val described = shown(manifest.graph.inputs)
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
