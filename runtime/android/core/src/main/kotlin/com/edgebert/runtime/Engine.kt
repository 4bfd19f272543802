package com.edgebert.runtime

import java.lang.reflect.InvocationTargetException
import java.nio.ByteBuffer

/**
 * What runs a graph. Every engine may be called from several threads; one that cannot run in parallel waits.
 *
 * An engine is a class with the constructor `(ByteBuffer model, GraphSpec graph, int threads)`, found by its name when
 * a bundle needs it. The model is a read-only direct buffer on the file's pages. The constructor throws
 * [BundleException] for a graph that it refuses, [MissingEngineException] when its library is not in the app. A
 * LinkageError (a native library that does not load) becomes an [EdgeBertException].
 */
public interface Engine : AutoCloseable {
    /** The package that a manifest's `requires` names, such as "onnxruntime". */
    public val packageName: String

    /** The version of that package which runs here; null when the engine does not tell, or counts otherwise. */
    public val version: String?

    /** Frees the graph. Closing twice is fine; what other threads are running may finish. */
    override fun close()
}

/** An engine that takes ids. */
public interface GraphEngine : Engine {
    /**
     * Every output of the graph by its name: [rows, width], or [rows, length, width] where it has a row for each token.
     * The ids lie in their tables, and the shapes are the manifest's. [EngineSupport.output] checks what is given.
     *
     * @throws BundleException the graph failed, or gave other shapes, or numbers that are not finite.
     * @throws EdgeBertException the engine is closed.
     */
    public fun run(batch: Batch): Map<String, Tensor>
}

/** An engine that reads text itself, from its first byte to the answer, in one pass. Its model has one output. */
public interface TextEngine : Engine {
    /**
     * That output of each text, float [texts][width].
     *
     * @throws DataException a pair where the model takes one text, or the reverse; a text that is not valid Unicode.
     * @throws EdgeBertException the engine is closed.
     */
    public fun read(texts: List<Text>): Array<FloatArray>
}

/**
 * A rectangular batch of ids.
 *
 * @property rows number of texts.
 * @property length the length they are padded to; an input has `perLength * length` ids a row.
 * @property ids by input name, row after row, padded with 0: int [rows * perLength * length].
 */
public class Batch(public val rows: Int, public val length: Int, public val ids: Map<String, IntArray>)

/** The engines: a format is one line here and one class. */
internal object Engines {
    /** `dependency`: what an app adds to its Gradle file to have the library. */
    private class Known(val type: String, val library: String, val dependency: String)

    const val MOST_THREADS = 256
    private val KNOWN = mapOf(
        "native" to Known(
            "com.edgebert.runtime.NativeEngine", "EdgeBERT's core",
            "com.edgebert:runtime-android:${EdgeBert.VERSION}",
        ),
        "onnx" to Known(
            "com.edgebert.runtime.engines.OnnxRuntimeEngine", "ONNX Runtime",
            "com.microsoft.onnxruntime:onnxruntime-android:1.29.0",
        ),
        "tflite" to Known(
            "com.edgebert.runtime.engines.TfliteEngine", "LiteRT",
            "com.google.ai.edge.litert:litert:1.4.0",
        ),
        "executorch" to Known(
            "com.edgebert.runtime.engines.ExecuTorchEngine", "ExecuTorch",
            "org.pytorch:executorch-android:1.0.0",
        ),
    )

    /** The engine that runs a bundle: the one for its format, which is all that may be asked for. */
    fun choose(wanted: String?, manifest: Manifest): String {
        if (wanted != null && wanted !in KNOWN) {
            throw UsageException("unknown engine ${repr(wanted)}. Known: ${KNOWN.keys.joinToString(", ")}.")
        }
        if (wanted != null && wanted != manifest.format) {
            throw UsageException(
                "the $wanted engine cannot run a bundle of format ${manifest.format}; leave the engine out"
            )
        }
        if (manifest.format !in KNOWN) {
            throw BundleException("its format ${repr(manifest.format)} is unknown to this EdgeBERT; upgrade EdgeBERT")
        }
        return manifest.format
    }

    fun checkThreads(threads: Int) {
        if (threads !in 1..MOST_THREADS) {
            throw UsageException("threads must be a whole number from 1 to $MOST_THREADS, not $threads")
        }
    }

    /** Loads a graph with the engine `name`. */
    fun load(name: String, model: ByteBuffer, graph: GraphSpec, threads: Int): Engine {
        checkThreads(threads)
        try {
            val type = Class.forName(KNOWN.getValue(name).type)
            val made = type.getConstructor(ByteBuffer::class.java, GraphSpec::class.java, Int::class.java)
            return made.newInstance(model, graph, threads) as Engine
        } catch (error: ClassNotFoundException) {
            throw missing(name, error)
        } catch (error: InvocationTargetException) {
            val reason = error.targetException
            throw if (reason is LinkageError) notLoaded(name, reason) else reason
        } catch (error: LinkageError) {
            throw notLoaded(name, error)
        }
    }

    /** The engine `name`, or the library it stands on, is not in the app. */
    fun missing(name: String, cause: Throwable): MissingEngineException = MissingEngineException(
        "this bundle needs ${KNOWN.getValue(name).library}, which is not in the app; " +
            "add to its Gradle dependencies: ${line(name)}",
        cause,
    )

    /** Its classes are there, but its native library is not: of another processor, say, or shrunk away. */
    private fun notLoaded(name: String, error: LinkageError): EdgeBertException {
        val reason = EngineSupport.firstLine(generateSequence<Throwable>(error) { it.cause }.last())
        return EdgeBertException(
            "${KNOWN.getValue(name).library} is in the app, but cannot be loaded ($reason); " +
                "check that the app is built for this processor, with ${line(name)}",
            error,
        )
    }

    private fun line(name: String) = "implementation(\"${KNOWN.getValue(name).dependency}\")"
}
