package com.edgebert.runtime

/** What adapters of engines share. */
public object EngineSupport {
    /**
     * One output of a run, as [GraphEngine.run] must give it.
     *
     * @param spec what the manifest says of it.
     * @param values all numbers that the engine gave, row after row.
     * @param shape as the engine says it.
     * @throws BundleException another shape than the manifest's, or a number that is not finite.
     */
    @JvmStatic
    public fun output(spec: OutputSpec, values: FloatArray, shape: LongArray, batch: Batch, engine: String): Tensor {
        val expected = if (spec.perToken) intArrayOf(batch.rows, batch.length, spec.width) else
            intArrayOf(batch.rows, spec.width)
        val found = IntArray(shape.size) { shape[it].toInt() }
        if (!found.contentEquals(expected) || values.size != expected.fold(1) { all, one -> all * one }) {
            throw BundleException(
                "$engine: the graph gave ${repr(spec.name)} in the shape ${found.asList()}, but the manifest says " +
                    "${expected.asList()}"
            )
        }
        if (values.any { it.isNaN() || it.isInfinite() }) {
            throw BundleException(
                "$engine: the graph gave numbers in ${repr(spec.name)} that are not finite; " +
                    "its weights are damaged or overflow"
            )
        }
        return Tensor(expected, values)
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
