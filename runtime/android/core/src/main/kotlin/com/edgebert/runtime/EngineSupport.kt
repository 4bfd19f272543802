package com.edgebert.runtime

/** What adapters of engines share. */
public object EngineSupport {
    /**
     * Rows of logits, float [rows][classes], of what an engine gave.
     *
     * @param values row after row.
     * @param shape as the engine says it.
     * @throws BundleException another shape than [rows, classes], or a number that is not finite.
     */
    @JvmStatic
    public fun rows(values: FloatArray, shape: LongArray, rows: Int, engine: String): Array<FloatArray> {
        if (shape.size != 2 || shape[0] != rows.toLong() || shape[0] * shape[1] != values.size.toLong()) {
            val shown = shape.joinToString(", ", "(", if (shape.size == 1) ",)" else ")")
            throw BundleException("$engine: the graph gave logits of shape $shown for $rows text(s)")
        }
        if (values.any { it.isNaN() || it.isInfinite() }) {
            throw BundleException(
                "$engine: the graph gave logits that are not finite; its weights are damaged or overflow"
            )
        }
        val classes = shape[1].toInt()
        return Array(rows) { values.copyOfRange(it * classes, (it + 1) * classes) }
    }

    /** An error with the first line of an engine's own message. */
    @JvmStatic
    public fun failure(engine: String, what: String, error: Throwable): BundleException =
        BundleException("$engine $what: ${firstLine(error)}", error)

    internal fun firstLine(error: Throwable): String {
        val line = error.message?.trim()?.lineSequence()?.first().orEmpty().ifEmpty { error.javaClass.simpleName }
        return line.take(300)
    }

    /** What a call on a closed engine throws. */
    @JvmStatic
    public fun closed(): EdgeBertException = EdgeBertException("this model is closed; load it again")

    /**
     * Checks that an engine's library is in the app.
     *
     * @param type a class of it.
     * @param engine the engine that needs it: "onnx", "tflite" or "executorch".
     * @throws MissingEngineException with the Gradle line that adds the library.
     */
    @JvmStatic
    public fun require(type: String, engine: String) {
        try {
            Class.forName(type)
        } catch (error: ClassNotFoundException) {
            throw Engines.missing(engine, error)
        }
    }
}
