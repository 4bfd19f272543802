package com.edgebert.runtime

import java.math.BigInteger
import java.time.DateTimeException
import java.time.LocalDate
import java.time.LocalTime

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
 * @property name of the tensor; the output that counts is "logits".
 * @property dtype such as "int64" or "float32".
 * @property shape its dimensions: a Long, or a String (a name) where it is dynamic.
 * @property perLength ids for each unit of length; null for outputs.
 * @property rows rows of the table that the ids point into; null for outputs.
 */
public data class TensorInfo(
    public val name: String,
    public val dtype: String,
    public val shape: List<Any>,
    public val perLength: Int? = null,
    public val rows: Long? = null,
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
 * @property labels in the order of the logits.
 * @property maxLength tokens (WordPiece) or words (n-grams) read of a text; the rest is cut.
 * @property student which network it is.
 * @property format which engine runs it: "native", "onnx", "tflite" or "executorch".
 * @property precision of the weights, such as "int8".
 * @property inputs, outputs of the graph, in the order of its arguments and results.
 * @property shapes the batches and lengths it takes.
 * @property created when it was exported: UTC, ISO 8601.
 * @property files every entry but the manifest, by name.
 * @property featurizer, metrics, provenance, requires are JSON objects: maps of String to null, Boolean, Long (or
 *   BigInteger), Double, String, List and Map.
 */
public data class Manifest(
    public val name: String,
    public val task: String,
    public val labels: List<String>,
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
) {
    /** The inputs as the featurizer describes them. */
    public val inputSpecs: List<InputSpec> get() = inputs.map { InputSpec(it.name, it.perLength ?: 1, it.rows ?: 1) }

    public companion object {
        /** The newest bundle schema that this library reads. */
        public const val SCHEMA_VERSION: Int = 1

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
    private const val MOST_LABELS = 1 shl 16
    private const val MOST_ROWS = 1L shl 31
    private val WORD = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
    private val TENSOR = Regex("[A-Za-z_][A-Za-z0-9_]{0,99}")
    private val DIMENSION = Regex("[A-Za-z0-9_*+]{1,40}")
    private val SHA256 = Regex("[0-9a-f]{64}")
    private val FIELDS = setOf(
        "name", "task", "labels", "max_length", "student", "format", "precision", "inputs", "outputs", "shapes",
        "featurizer", "created", "files", "metrics", "provenance", "requires", "schema_version",
    )

    fun read(value: Any?): Manifest {
        if (value !is Map<*, *>) throw wrong("the manifest", "a JSON object", value)
        val version = value["schema_version"]
        if (version is BigInteger && version.signum() > 0) throw newer(version)
        if (version !is Long || version < 1) throw wrong("schema_version", "a whole number from 1", version)
        if (version > Manifest.SCHEMA_VERSION) throw newer(version)
        val data = fields("the manifest", value, FIELDS)
        val manifest = Manifest(
            name = name("name", data["name"]),
            task = match("task", data["task"], WORD),
            labels = labels(data["labels"]),
            maxLength = whole("max_length", data["max_length"], 1, MOST_LENGTH).toInt(),
            student = match("student", data["student"], WORD),
            format = match("format", data["format"], WORD),
            precision = match("precision", data["precision"], WORD),
            inputs = list("inputs", data["inputs"]) { where, item -> tensor(where, item, true) },
            outputs = list("outputs", data["outputs"]) { where, item -> tensor(where, item, false) },
            shapes = shapes(data["shapes"]),
            featurizer = entries("featurizer", data["featurizer"]),
            created = time("created", data["created"]),
            files = files(data["files"]),
            metrics = entries("metrics", data["metrics"]),
            provenance = entries("provenance", data["provenance"]),
            requires = requires(data["requires"]),
        )
        checkTogether(manifest)
        return manifest
    }

    private fun newer(version: Any) = BundleException(
        "made by a newer EdgeBERT (bundle schema $version, this runtime reads up to ${Manifest.SCHEMA_VERSION}); " +
            "raise the version of com.edgebert in the app's Gradle dependencies"
    )

    /** What no field can say alone. */
    private fun checkTogether(manifest: Manifest) {
        for ((where, tensors) in listOf("inputs" to manifest.inputs, "outputs" to manifest.outputs)) {
            val names = tensors.map { it.name }
            if (names.isEmpty() || names.toSet().size != names.size) {
                throw wrong(where, "at least one tensor, no name twice", names)
            }
        }
        val outputs = manifest.outputs.map { it.name }
        if ("logits" !in outputs) throw wrong("outputs", "a tensor named 'logits'", outputs)
        if (manifest.shapes.maxLength != manifest.maxLength) {
            throw wrong("shapes.max_length", "max_length (${manifest.maxLength})", manifest.shapes.maxLength)
        }
        val type = manifest.featurizer["type"]
        if (type !is String) throw wrong("featurizer.type", "a text", type)
    }

    private fun wrong(where: String, expected: String, got: Any?): BundleException {
        val shown = if (got == null) "null" else repr(got)
        return BundleException("$where must be $expected, not ${shown.cut(80)}")
    }

    private fun fields(where: String, value: Any?, expected: Set<String>): Map<String, Any?> {
        val data = entries(where, value)
        (expected - data.keys).minOrNull()?.let { throw BundleException("$where lacks the field ${repr(it)}") }
        (data.keys - expected).minOrNull()?.let {
            throw BundleException("$where has an unknown field ${repr(it.cut(80))}")
        }
        return data
    }

    @Suppress("UNCHECKED_CAST") // the parser makes no other keys
    private fun entries(where: String, value: Any?): Map<String, Any?> =
        value as? Map<String, Any?> ?: throw wrong(where, "a JSON object", value)

    private fun <T> list(where: String, value: Any?, check: (String, Any?) -> T): List<T> {
        if (value !is List<*>) throw wrong(where, "a list", value)
        return value.mapIndexed { index, item -> check("$where[$index]", item) }
    }

    private fun whole(where: String, value: Any?, low: Long, high: Long): Long {
        if (value !is Long || value !in low..high) throw wrong(where, "a whole number from $low to $high", value)
        return value
    }

    private fun match(where: String, value: Any?, pattern: Regex): String {
        if (value !is String || !pattern.matches(value)) {
            throw wrong(where, "a short plain name (letters, digits, '.', '_', '-')", value)
        }
        return value
    }

    private fun text(where: String, value: Any?): String = value as? String ?: throw wrong(where, "a text", value)

    private fun name(where: String, value: Any?): String {
        val points = codePoints(text(where, value))
        if (points.size !in 1..200 || !points.all(::printable)) {
            throw wrong(where, "1 to 200 printable characters", value)
        }
        return value as String
    }

    private fun labels(value: Any?): List<String> {
        val labels = list("labels", value, ::text)
        if (labels.isEmpty() || labels.size > MOST_LABELS || labels.toSet().size != labels.size) {
            throw wrong("labels", "1 to $MOST_LABELS different texts", value)
        }
        return labels
    }

    private fun dimension(where: String, value: Any?): Any =
        if (value is String) match(where, value, DIMENSION) else whole(where, value, 1, 1L shl 31)

    private fun tensor(where: String, value: Any?, input: Boolean): TensorInfo {
        val expected = setOf("name", "dtype", "shape")
        val data = fields(where, value, if (input) expected + setOf("per_length", "rows") else expected)
        return TensorInfo(
            name = match("$where.name", data["name"], TENSOR),
            dtype = match("$where.dtype", data["dtype"], WORD),
            shape = list("$where.shape", data["shape"], ::dimension),
            perLength = if (input) whole("$where.per_length", data["per_length"], 1, MOST_LENGTH).toInt() else null,
            rows = if (input) whole("$where.rows", data["rows"], 1, MOST_ROWS) else null,
        )
    }

    private fun shapes(value: Any?): Shapes {
        val data = fields("shapes", value, setOf("batch", "lengths", "min_length", "max_length"))
        val batch = data["batch"]
        if (batch != null && (batch as? Number)?.toDouble() != 1.0) throw wrong("shapes.batch", "null or 1", batch)
        val most = whole("shapes.max_length", data["max_length"], 1, MOST_LENGTH)
        val least = whole("shapes.min_length", data["min_length"], 1, most)
        val given = data["lengths"]
        val lengths = given?.let { list("shapes.lengths", it) { where, item -> whole(where, item, least, most) } }
        if (lengths != null && (lengths != lengths.toSortedSet().toList() || lengths.lastOrNull() != most)) {
            throw wrong("shapes.lengths", "ascending lengths that end with max_length ($most)", given)
        }
        return Shapes(if (batch == null) null else 1, lengths?.map { it.toInt() }, least.toInt(), most.toInt())
    }

    private fun files(value: Any?): Map<String, FileInfo> = entries("files", value).mapValues { (name, item) ->
        val where = "files[${repr(name.cut(80))}]"
        val data = fields(where, item, setOf("sha256", "size"))
        val sha256 = data["sha256"]
        if (sha256 !is String || !SHA256.matches(sha256)) {
            throw wrong("$where.sha256", "64 lower-case hex digits", sha256)
        }
        FileInfo(sha256, whole("$where.size", data["size"], 0, 1L shl 32))
    }

    private fun requires(value: Any?): Map<String, Any?> {
        val data = entries("requires", value)
        for (key in listOf("package", "minimum")) if (key in data) text("requires.$key", data[key])
        val madeWith = if ("made_with" in data) data["made_with"] else emptyMap<String, Any?>()
        for ((key, version) in entries("requires.made_with", madeWith)) {
            text("requires.made_with[${repr(key.cut(80))}]", version)
        }
        return data
    }

    private val TIME = Regex(
        "(\\d{4})-?(\\d\\d)-?(\\d\\d)" +
            "(?:.(\\d\\d)(?::?(\\d\\d)(?::?(\\d\\d)(?:[.,]\\d+)?)?)?(?:Z|[+-](\\d\\d)(?::?(\\d\\d))?)?)?"
    )

    private fun time(where: String, value: Any?): String {
        val text = text(where, value)
        try {
            val parts = TIME.matchEntire(text) ?: throw DateTimeException(text)
            val numbers = parts.groupValues.drop(1).map { if (it.isEmpty()) 0 else it.toInt() }
            LocalDate.of(numbers[0], numbers[1], numbers[2])
            LocalTime.of(numbers[3], numbers[4], numbers[5])
            LocalTime.of(numbers[6], numbers[7])
        } catch (error: DateTimeException) {
            throw wrong(where, "an ISO 8601 time", value)
        }
        return text
    }
}
