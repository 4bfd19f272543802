package com.edgebert.runtime.engines

import com.edgebert.runtime.Batch
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.EngineSupport
import com.edgebert.runtime.GraphEngine
import com.edgebert.runtime.GraphSpec
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * A program in ExecuTorch with XNNPACK: positional int64 ids. Runs wait for each other.
 *
 * ExecuTorch wants a path, so the program is copied into the app's temporary folder; the copy loses its name as soon as
 * ExecuTorch has it open, and so goes with the process at the latest. The number of threads is one for the whole
 * process: the engine loaded last decides.
 *
 * Active when ExecuTorch is on the class path: `org.pytorch:executorch-android`. Its constructor is described at
 * [com.edgebert.runtime.Engine].
 */
public class ExecuTorchEngine(
    model: ByteBuffer,
    graph: GraphSpec,
    threads: Int,
) : GraphEngine {
    private val program: Program

    init {
        EngineSupport.require("org.pytorch.executorch.Module", "executorch")
        program = Program(model, graph, threads)
    }

    override val packageName: String get() = "executorch"

    /** ExecuTorch's Java API does not tell its version. */
    override val version: String? get() = null

    override fun run(batch: Batch): Map<String, com.edgebert.runtime.Tensor> = program.run(batch)

    override fun close() {
        program.close()
    }

    internal companion object {
        const val NAME = "ExecuTorch"
    }
}

/** All that names ExecuTorch's classes: loaded only when they are there. */
private class Program(model: ByteBuffer, private val graph: GraphSpec, threads: Int) {
    private val name = ExecuTorchEngine.NAME
    private var module: Module? = null

    init {
        val file = privateFile(model)
        try {
            module = guarded("refuses the program") { Module.load(file.path, Module.LOAD_MODE_MMAP, threads) }
            tryOnce() // before that, ExecuTorch has only noted the path
        } catch (error: Throwable) {
            close()
            throw error
        } finally {
            file.delete() // what is open and mapped stays, and a killed process leaves nothing behind
        }
    }

    /** Runs one text of padding: what is missing (an operator, say) shows here. */
    private fun tryOnce() {
        val length = graph.shapes.lengths?.first() ?: graph.shapes.minLength
        run(Batch(1, length, graph.inputs.associate { it.name to IntArray(it.perLength * length) }))
    }

    @Synchronized
    fun run(batch: Batch): Map<String, com.edgebert.runtime.Tensor> {
        val module = module ?: throw EngineSupport.closed()
        val found = guarded("could not run the program") {
            val values = graph.inputs.map { value(batch.ids.getValue(it.name), batch.rows) }
            // A program has one method for any length, or one for each of the lengths that its bundle names.
            val method = if (graph.shapes.lengths == null) "forward" else "seq${batch.length}"
            val given = module.execute(method, *values.toTypedArray()).map { it.toTensor() }
            given.map { it.dataAsFloatArray to it.shape() }
        }
        if (found.size != graph.outputs.size) {
            val counts = "${found.size} outputs, but the manifest names ${graph.outputs.size}"
            throw BundleException("$name: the program gives $counts")
        }
        // It gives them without names, in the order of the names.
        return graph.outputs.zip(found).associate { (spec, output) ->
            spec.name to EngineSupport.output(spec, output.first, output.second, batch, name)
        }
    }

    private fun value(ids: IntArray, rows: Int): EValue {
        val shape = longArrayOf(rows.toLong(), (ids.size / rows).toLong())
        return EValue.from(Tensor.fromBlob(LongArray(ids.size) { ids[it].toLong() }, shape))
    }

    @Synchronized
    fun close() {
        module?.destroy()
        module = null
    }

    /** ExecuTorch's exception classes have changed between versions; all are RuntimeExceptions. */
    private fun <T> guarded(what: String, call: () -> T): T = try {
        call()
    } catch (error: RuntimeException) {
        throw EngineSupport.failure(name, what, error)
    }

    private fun privateFile(model: ByteBuffer): File {
        var made: File? = null
        try {
            made = File.createTempFile("edgebert-", ".pte")
            FileOutputStream(made).channel.use { channel ->
                val content = model.duplicate()
                while (content.hasRemaining()) channel.write(content)
            }
            return made
        } catch (error: IOException) {
            made?.delete()
            throw EdgeBertException("cannot write a temporary file for $name: ${error.message}", error)
        }
    }
}
