package com.edgebert.runtime.engines

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OnnxValue
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import com.edgebert.runtime.Batch
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.EngineSupport
import com.edgebert.runtime.GraphEngine
import com.edgebert.runtime.GraphSpec
import com.edgebert.runtime.OutputSpec
import com.edgebert.runtime.Tensor
import java.nio.ByteBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer
import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/**
 * A graph in ONNX Runtime's CPU provider, with dynamic batch and length. Runs of several threads go on in parallel.
 *
 * Active when ONNX Runtime is on the class path: `com.microsoft.onnxruntime:onnxruntime-android` on a phone,
 * `com.microsoft.onnxruntime:onnxruntime` on a desktop. Found and made by EdgeBERT; its constructor is described at
 * [com.edgebert.runtime.Engine].
 */
public class OnnxRuntimeEngine(
    model: ByteBuffer,
    graph: GraphSpec,
    threads: Int,
) : GraphEngine {
    private val session: Session

    init {
        EngineSupport.require("ai.onnxruntime.OrtEnvironment", "onnx")
        session = Session(model, graph, threads)
    }

    override val packageName: String get() = "onnxruntime"
    override val version: String get() = session.version

    override fun run(batch: Batch): Map<String, Tensor> = session.run(batch)

    override fun close() {
        session.close()
    }

    internal companion object {
        const val NAME = "ONNX Runtime"
    }
}

/** All that names ONNX Runtime's classes: loaded only when they are there. */
private class Session(model: ByteBuffer, private val graph: GraphSpec, threads: Int) {
    private val environment = started()
    private val lock = ReentrantReadWriteLock() // closing a session frees it under the feet of a run
    private var session: OrtSession? = create(model, threads)
    private val types: Map<String, OnnxJavaType>

    val version: String get() = environment.version

    init {
        try {
            types = inputTypes(session!!)
        } catch (error: Throwable) {
            close()
            throw error
        }
    }

    fun run(batch: Batch): Map<String, Tensor> = lock.read {
        val session = session ?: throw EngineSupport.closed()
        val feed = HashMap<String, OnnxTensor>()
        try {
            for (name in types.keys) feed[name] = tensor(name, batch)
            session.run(feed, graph.outputs.mapTo(LinkedHashSet()) { it.name }).use { result ->
                graph.outputs.associate { it.name to output(it, result.get(it.name).orElse(null), batch) }
            }
        } catch (error: OrtException) {
            throw EngineSupport.failure(OnnxRuntimeEngine.NAME, "could not run the graph", error)
        } finally {
            feed.values.forEach { it.close() }
        }
    }

    private fun output(spec: OutputSpec, value: OnnxValue?, batch: Batch): Tensor {
        val tensor = value as? OnnxTensor ?: throw OrtException("${spec.name} is no tensor")
        val buffer = tensor.floatBuffer ?: throw OrtException("${spec.name} is ${tensor.info.type}, not float")
        val values = FloatArray(buffer.remaining()).also { buffer.get(it) }
        return EngineSupport.output(spec, values, tensor.info.shape, batch, OnnxRuntimeEngine.NAME)
    }

    fun close(): Unit = lock.write {
        session?.close()
        session = null
    }

    private fun started(): OrtEnvironment = try {
        OrtEnvironment.getEnvironment()
    } catch (error: IllegalStateException) {
        val reason = error.cause?.message ?: error.message
        throw EdgeBertException("${OnnxRuntimeEngine.NAME} cannot start: $reason", error)
    }

    private fun create(model: ByteBuffer, threads: Int): OrtSession = try {
        OrtSession.SessionOptions().use { options ->
            options.setIntraOpNumThreads(threads)
            options.setInterOpNumThreads(1)
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL) // what goes wrong is thrown
            // Without VNNI an x86 processor (an emulator's, say) adds up products of int8 in 16 bits, which overflow.
            // This takes wider sums there, and changes nothing on the others.
            options.addConfigEntry("session.x64quantprecision", "1")
            // A graph may name files that hold its weights, and so have a file outside the bundle read. Below a device
            // there is nothing to find.
            options.addConfigEntry("session.model_external_initializers_file_folder_path", "/dev/null")
            environment.createSession(model, options)
        }
    } catch (error: OrtException) {
        throw EngineSupport.failure(OnnxRuntimeEngine.NAME, "$version refuses the graph", error)
    }

    /** What each input of the graph wants. An exporter may have dropped an input that changes nothing. */
    private fun inputTypes(session: OrtSession): Map<String, OnnxJavaType> {
        val names = graph.inputs.map { it.name }
        val found = session.inputInfo.mapValues { (name, node) ->
            val type = (node.info as? TensorInfo)?.type
            if (name !in names || type == null || (type != OnnxJavaType.INT64 && type != OnnxJavaType.INT32)) {
                throw BundleException(
                    "${OnnxRuntimeEngine.NAME}: the graph has the input '$name' of $type, but must take int ids " +
                        "named ${names.joinToString(", ")}"
                )
            }
            type
        }
        graph.outputs.firstOrNull { it.name !in session.outputNames }?.let {
            throw BundleException("${OnnxRuntimeEngine.NAME}: the graph has no output named '${it.name}'")
        }
        return found
    }

    private fun tensor(name: String, batch: Batch): OnnxTensor {
        val ids = batch.ids.getValue(name)
        val shape = longArrayOf(batch.rows.toLong(), (ids.size / batch.rows).toLong())
        if (types[name] == OnnxJavaType.INT32) return OnnxTensor.createTensor(environment, IntBuffer.wrap(ids), shape)
        val wide = LongBuffer.wrap(LongArray(ids.size) { ids[it].toLong() })
        return OnnxTensor.createTensor(environment, wide, shape)
    }
}
