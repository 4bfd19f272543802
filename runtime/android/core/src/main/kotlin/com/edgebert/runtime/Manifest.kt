package com.edgebert.runtime

import com.edgebert.runtime.decode.Context
import com.edgebert.runtime.decode.Decoders
import java.math.BigInteger

/**
 * One input of a graph: ids of shape [batch, perLength * length], each in [0, rows); 0 is the padding id.
 *
 * @property name of the input.
 * @property perLength ids for each unit of length.
 * @property rows of the table that the ids point into.
 */
public data class InputSpec(public val name: String, public val perLength: Int, public val rows: Long)

/**
 * One input or output of the graph.
 *
 * @property name of the tensor.
 * @property dtype such as "int64" or "float32".
 * @property shape its dimensions: a Long, or a String (a name) where it is dynamic. An output has ["batch", width], or
 *   ["batch", "length", width] with a row for each token.
 * @property perLength ids for each unit of length; null for outputs.
 * @property rows rows of the table that the ids point into; null for outputs.
 * @property labels what the columns of an output are called; empty where they have no names.
 */
public data class TensorInfo(
    public val name: String,
    public val dtype: String,
    public val shape: List<Any>,
    public val perLength: Int? = null,
    public val rows: Long? = null,
    public val labels: List<String> = emptyList(),
)

/**
 * Which batches and lengths the graph takes.
 *
 * @property batch 1, or null for any.
 * @property lengths the buckets, ascending; null for any length from [minLength] to [maxLength].
 * @property minLength the shortest input, in tokens or words.
 * @property maxLength the longest input, in tokens or words.
 */
public data class Shapes(
    public val batch: Int?,
    public val lengths: List<Int>?,
    public val minLength: Int,
    public val maxLength: Int,
)

/**
 * Checksum and size of one entry.
 *
 * @property sha256 its SHA-256, 64 lower-case hex digits.
 * @property size in bytes.
 */
public data class FileInfo(public val sha256: String, public val size: Long)

/**
 * What a bundle says about itself: its manifest.json, every field checked (docs/bundle.md says what each means).
 *
 * @property name of the model, for people.
 * @property task such as "classification".
 * @property maxLength tokens (WordPiece) or words (n-grams) read of a text; the rest is cut.
 * @property student which network it is.
 * @property format which engine runs it: "native", "onnx", "tflite" or "executorch".
 * @property precision of the weights, such as "int8".
 * @property inputs of the graph, in the order of its arguments.
 * @property outputs of the graph, in the alphabetical order of their names.
 * @property shapes the batches and lengths it takes.
 * @property created when it was exported: UTC, ISO 8601.
 * @property files every entry but the manifest, by name.
 * @property cascade of a cascade, the probability from which the bundle inside answers alone; null for other bundles.
 * @property settings what decoding needs to know besides: temperature, thresholds, scale, scheme.
 * @property featurizer, metrics, provenance, requires are JSON objects, as settings is: maps of String to null,
 *   Boolean, Long (or BigInteger), Double, String, List and Map.
 */
public data class Manifest(
    public val name: String,
    public val task: String,
    public val maxLength: Int,
    public val student: String,
    public val format: String,
    public val precision: String,
    public val inputs: List<TensorInfo>,
    public val outputs: List<TensorInfo>,
    public val shapes: Shapes,
    public val featurizer: Map<String, Any?>,
    public val created: String,
    public val files: Map<String, FileInfo>,
    public val metrics: Map<String, Any?>,
    public val provenance: Map<String, Any?>,
    public val requires: Map<String, Any?>,
    public val settings: Map<String, Any?>,
    public val cascade: Double? = null,
) {
    /** The labels of the first output that has some; empty where none has. */
    public val labels: List<String> = outputs.firstOrNull { it.labels.isNotEmpty() }?.labels.orEmpty()

    /** The graph as its engine needs to know it. */
    public val graph: GraphSpec = GraphSpec(
        inputs.map { InputSpec(it.name, it.perLength ?: 1, it.rows ?: 1) },
        outputs.map { OutputSpec(it.name, (it.shape.last() as Long).toInt(), it.shape.size == 3, it.labels) },
        shapes,
    )

    public companion object {
        /** The newest bundle schema that this library reads. */
        public const val SCHEMA_VERSION: Int = 2

        /**
         * The manifest in a parsed manifest.json.
         *
         * @throws BundleException naming the first field that is missing, unknown or wrong, and what it must be.
         */
        internal fun fromJson(value: Any?): Manifest = ManifestReader.read(value)
    }
}

private object ManifestReader {
    private const val MOST_LENGTH = 1L shl 16
    private const val MOST_WIDTH = 1L shl 20
    private const val MOST_ROWS = 1L shl 31
    private val SHA256 = Regex("[0-9a-f]{64}")
    private val ROWS = setOf(listOf("batch"), listOf(1L), listOf("batch", "length"), listOf(1L, "length"))
    private val TENSOR_FIELDS = setOf("name", "dtype", "shape")
    private val FIELDS = setOf(
        "name", "task", "max_length", "student", "format", "precision", "inputs", "outputs", "shapes", "featurizer",
        "created", "settings", "cascade", "files", "metrics", "provenance", "requires", "schema_version",
    )

    fun read(value: Any?): Manifest {
        if (value !is Map<*, *>) throw Checks.wrong("the manifest", "a JSON object", value)
        checkVersion(value["schema_version"])
        val data = Checks.fields("the manifest", value, FIELDS)
        val manifest = Manifest(
            name = Checks.name("name", data["name"]),
            task = Checks.match("task", data["task"], Checks.WORD),
            maxLength = Checks.whole("max_length", data["max_length"], 1, MOST_LENGTH).toInt(),
            student = Checks.match("student", data["student"], Checks.WORD),
            format = Checks.match("format", data["format"], Checks.WORD),
            precision = Checks.match("precision", data["precision"], Checks.WORD),
            inputs = Checks.list("inputs", data["inputs"], ::input),
            outputs = Checks.list("outputs", data["outputs"], ::output),
            shapes = shapes(data["shapes"]),
            featurizer = Checks.entries("featurizer", data["featurizer"]),
            created = Checks.time("created", data["created"]),
            settings = Checks.entries("settings", data["settings"]),
            files = files(data["files"]),
            metrics = Checks.entries("metrics", data["metrics"]),
            provenance = Checks.entries("provenance", data["provenance"]),
            requires = requires(data["requires"]),
            cascade = cascade(data["cascade"]),
        )
        checkTogether(manifest)
        return manifest
    }

    private fun cascade(value: Any?): Double? {
        if (value == null) return null
        val threshold = Checks.fields("cascade", value, setOf("threshold"))["threshold"]
        if (!Checks.isNumber(threshold) || (threshold as Number).toDouble() !in 0.0..1.0) {
            throw Checks.wrong("cascade.threshold", "a number from 0 to 1", threshold)
        }
        return threshold.toDouble()
    }

    private fun checkVersion(version: Any?) {
        val newest = Manifest.SCHEMA_VERSION
        if ((version is BigInteger && version.signum() > 0) || (version is Long && version > newest)) {
            throw BundleException(
                "made by a newer EdgeBERT (bundle schema $version, this runtime reads up to $newest); " +
                    "raise the version of com.edgebert in the app's Gradle dependencies"
            )
        }
        if (version !is Long || version < 1) throw Checks.wrong("schema_version", "a whole number from 1", version)
        if (version < newest) {
            throw BundleException("made by an older EdgeBERT (bundle schema $version); export it again")
        }
    }

    /** What no field can say alone. */
    private fun checkTogether(manifest: Manifest) {
        if (manifest.cascade != null && manifest.task != "classification") {
            throw Checks.wrong("cascade", "null for the task ${manifest.task}", manifest.cascade)
        }
        val inputs = manifest.inputs.map { it.name }
        if (inputs.isEmpty() || inputs.toSet().size != inputs.size) {
            throw Checks.wrong("inputs", "at least one tensor, no name twice", inputs)
        }
        val outputs = manifest.outputs.map { it.name }
        if (outputs.isEmpty() || outputs != outputs.toSortedSet().toList()) {
            throw Checks.wrong("outputs", "at least one tensor, in alphabetical order, no name twice", outputs)
        }
        if (manifest.shapes.maxLength != manifest.maxLength) {
            throw Checks.wrong("shapes.max_length", "max_length (${manifest.maxLength})", manifest.shapes.maxLength)
        }
        val type = manifest.featurizer["type"]
        if (type !is String) throw Checks.wrong("featurizer.type", "a text", type)
        // A task that is not known is for a newer library: loading says so.
        Decoders.KNOWN[manifest.task]?.make(manifest.task, Context(manifest.graph.outputs, manifest.settings))
    }

    private fun input(where: String, value: Any?): TensorInfo {
        val data = Checks.fields(where, value, TENSOR_FIELDS + setOf("per_length", "rows"))
        return tensor(where, data).copy(
            perLength = Checks.whole("$where.per_length", data["per_length"], 1, MOST_LENGTH).toInt(),
            rows = Checks.whole("$where.rows", data["rows"], 1, MOST_ROWS),
        )
    }

    private fun output(where: String, value: Any?): TensorInfo {
        val data = Checks.fields(where, value, TENSOR_FIELDS + "labels")
        val found = tensor(where, data)
        val labels = Checks.list("$where.labels", data["labels"], Checks::text)
        if (labels.size > MOST_WIDTH || labels.toSet().size != labels.size) {
            throw Checks.wrong("$where.labels", "different texts", data["labels"])
        }
        if (found.dtype != "float32") throw Checks.wrong("$where.dtype", "float32", found.dtype)
        val (rows, width) = found.shape.dropLast(1) to found.shape.lastOrNull()
        if (rows !in ROWS || width !is Long) {
            val expected = "[\"batch\", WIDTH] or [\"batch\", \"length\", WIDTH]"
            throw Checks.wrong("$where.shape", expected, found.shape)
        }
        Checks.whole("$where.shape[${rows.size}]", width, 1, MOST_WIDTH)
        if (labels.isNotEmpty() && labels.size.toLong() != width) {
            throw Checks.wrong("$where.labels", "empty, or $width texts", labels)
        }
        return found.copy(labels = labels)
    }

    private fun tensor(where: String, data: Map<String, Any?>) = TensorInfo(
        name = Checks.match("$where.name", data["name"], Checks.TENSOR),
        dtype = Checks.match("$where.dtype", data["dtype"], Checks.WORD),
        shape = Checks.list("$where.shape", data["shape"], Checks::dimension),
    )

    private fun shapes(value: Any?): Shapes {
        val data = Checks.fields("shapes", value, setOf("batch", "lengths", "min_length", "max_length"))
        val batch = data["batch"]
        if (batch != null && (batch as? Number)?.toDouble() != 1.0) {
            throw Checks.wrong("shapes.batch", "null or 1", batch)
        }
        val most = Checks.whole("shapes.max_length", data["max_length"], 1, MOST_LENGTH)
        val least = Checks.whole("shapes.min_length", data["min_length"], 1, most)
        val given = data["lengths"]
        val lengths = given?.let {
            Checks.list("shapes.lengths", it) { where, item -> Checks.whole(where, item, least, most) }
        }
        if (lengths != null && (lengths != lengths.toSortedSet().toList() || lengths.lastOrNull() != most)) {
            throw Checks.wrong("shapes.lengths", "ascending lengths that end with max_length ($most)", given)
        }
        return Shapes(if (batch == null) null else 1, lengths?.map { it.toInt() }, least.toInt(), most.toInt())
    }

    private fun files(value: Any?): Map<String, FileInfo> = Checks.entries("files", value).mapValues { (name, item) ->
        val where = "files[${repr(name.cut(80))}]"
        val data = Checks.fields(where, item, setOf("sha256", "size"))
        val sha256 = data["sha256"]
        if (sha256 !is String || !SHA256.matches(sha256)) {
            throw Checks.wrong("$where.sha256", "64 lower-case hex digits", sha256)
        }
        FileInfo(sha256, Checks.whole("$where.size", data["size"], 0, 1L shl 32))
    }

    private fun requires(value: Any?): Map<String, Any?> {
        val data = Checks.entries("requires", value)
        for (key in listOf("package", "minimum")) if (key in data) Checks.text("requires.$key", data[key])
        val madeWith = if ("made_with" in data) data["made_with"] else emptyMap<String, Any?>()
        for ((key, version) in Checks.entries("requires.made_with", madeWith)) {
            Checks.text("requires.made_with[${repr(key.cut(80))}]", version)
        }
        return data
    }
}
