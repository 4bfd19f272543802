package com.edgebert.runtime.engines

import com.edgebert.runtime.Batch
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EngineSupport
import com.edgebert.runtime.GraphEngine
import com.edgebert.runtime.GraphSpec
import com.edgebert.runtime.Tensor
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.IntBuffer
import org.tensorflow.lite.Interpreter

/**
 * A graph in LiteRT: int32 ids, one signature `seqN` for each length N, shared weights. An interpreter has one set of
 * buffers, so runs of several threads wait for each other.
 *
 * Active when LiteRT is on the class path: `com.google.ai.edge.litert:litert`. (TensorFlow Lite 2.16.1 has the same
 * classes, but its libraries do not load on phones with 16 KiB pages.) Its constructor is described at
 * [com.edgebert.runtime.Engine].
 */
public class TfliteEngine(
    model: ByteBuffer,
    graph: GraphSpec,
    threads: Int,
) : GraphEngine {
    private val signatures: Signatures

    init {
        EngineSupport.require("org.tensorflow.lite.Interpreter", "tflite")
        signatures = Signatures(model, graph, threads)
    }

    override val packageName: String get() = "ai-edge-litert"

    /** LiteRT for Android counts its versions apart from the Python package that bundles name. */
    override val version: String? get() = null

    override fun run(batch: Batch): Map<String, Tensor> = signatures.run(batch)

    override fun close() {
        signatures.close()
    }

    internal companion object {
        const val NAME = "LiteRT"
    }
}

/** All that names LiteRT's classes: loaded only when they are there. */
private class Signatures(model: ByteBuffer, private val graph: GraphSpec, threads: Int) {
    private val name = TfliteEngine.NAME
    private var interpreter: Interpreter? = guarded("refuses the graph") {
        Interpreter(model, Interpreter.Options().setNumThreads(threads))
    }
    private val wanted: Map<Int, Array<String>>

    init {
        try {
            wanted = check(interpreter!!)
        } catch (error: Throwable) {
            close()
            throw error
        }
    }

    @Synchronized
    fun run(batch: Batch): Map<String, Tensor> {
        val interpreter = interpreter ?: throw EngineSupport.closed()
        val names = wanted[batch.length]
            ?: throw BundleException("$name: the graph takes the lengths ${wanted.keys.sorted()}, not ${batch.length}")
        val key = "seq${batch.length}"
        val feed = names.associateWith<String, Any> { IntBuffer.wrap(batch.ids.getValue(it)) }
        return guarded("could not run the graph") {
            val shapes = graph.outputs.map { interpreter.getOutputTensorFromSignature(it.name, key).shape() }
            val buffers = shapes.map { shape -> FloatBuffer.allocate(shape.fold(1) { all, one -> all * one }) }
            interpreter.runSignature(feed, graph.outputs.map { it.name }.zip<String, Any>(buffers).toMap(), key)
            graph.outputs.withIndex().associate { (index, spec) ->
                val shape = LongArray(shapes[index].size) { shapes[index][it].toLong() }
                spec.name to EngineSupport.output(spec, buffers[index].array(), shape, batch, name)
            }
        }
    }

    @Synchronized
    fun close() {
        interpreter?.close()
        interpreter = null
    }

    /** Length to the inputs that its signature takes. An exporter may have dropped one that changes nothing. */
    private fun check(interpreter: Interpreter): Map<Int, Array<String>> {
        val names = graph.inputs.map { it.name }
        val lengths = graph.shapes.lengths
            ?: throw BundleException("$name: a tflite bundle must name its lengths (shapes.lengths)")
        val signatures = interpreter.signatureKeys.toSet()
        return lengths.associateWith { length ->
            val key = "seq$length"
            if (key !in signatures) {
                throw BundleException("$name: the graph has no signature '$key', only ${signatures.sorted()}")
            }
            val inputs = interpreter.getSignatureInputs(key)
            (inputs.toSet() - names.toSet()).minOrNull()?.let {
                val known = names.joinToString(", ")
                throw BundleException("$name: the graph has an input '$it'; it must be one of $known")
            }
            val outputs = interpreter.getSignatureOutputs(key)
            graph.outputs.firstOrNull { it.name !in outputs }?.let {
                throw BundleException("$name: signature '$key' has no output named '${it.name}'")
            }
            inputs
        }
    }

    /** LiteRT throws IllegalArgumentException or IllegalStateException, by the kind of damage. */
    private fun <T> guarded(what: String, call: () -> T): T = try {
        call()
    } catch (error: IllegalArgumentException) {
        throw EngineSupport.failure(name, what, error)
    } catch (error: IllegalStateException) {
        throw EngineSupport.failure(name, what, error)
    }
}
