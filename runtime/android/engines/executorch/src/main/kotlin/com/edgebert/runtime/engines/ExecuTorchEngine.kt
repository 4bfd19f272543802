package com.edgebert.runtime.engines

import com.edgebert.runtime.Batch
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.EngineSupport
import com.edgebert.runtime.GraphEngine
import com.edgebert.runtime.InputSpec
import com.edgebert.runtime.Shapes
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
    inputs: List<InputSpec>,
    shapes: Shapes,
    threads: Int,
) : GraphEngine {
    private val program: Program

    init {
        EngineSupport.require("org.pytorch.executorch.Module", "executorch")
        program = Program(model, inputs, shapes, threads)
    }

    override val packageName: String get() = "executorch"

    /** ExecuTorch's Java API does not tell its version. */
    override val version: String? get() = null

    override fun run(batch: Batch): Array<FloatArray> = program.run(batch)

    override fun close() {
        program.close()
    }

    internal companion object {
        const val NAME = "ExecuTorch"
    }
}

/** All that names ExecuTorch's classes: loaded only when they are there. */
private class Program(model: ByteBuffer, private val inputs: List<InputSpec>, shapes: Shapes, threads: Int) {
    private val name = ExecuTorchEngine.NAME
    private var module: Module? = null

    init {
        val file = privateFile(model)
        try {
            module = guarded("refuses the program") { Module.load(file.path, Module.LOAD_MODE_MMAP, threads) }
            tryOnce(shapes) // before that, ExecuTorch has only noted the path
        } catch (error: Throwable) {
            close()
            throw error
        } finally {
            file.delete() // what is open and mapped stays, and a killed process leaves nothing behind
        }
    }

    /** Runs one text of padding: what is missing (an operator, say) shows here. */
    private fun tryOnce(shapes: Shapes) {
        val length = shapes.lengths?.first() ?: shapes.minLength
        run(Batch(1, length, inputs.associate { it.name to IntArray(it.perLength * length) }))
    }

    @Synchronized
    fun run(batch: Batch): Array<FloatArray> {
        val module = module ?: throw EngineSupport.closed()
        val (logits, shape) = guarded("could not run the program") {
            val values = Array(inputs.size) { value(batch.ids.getValue(inputs[it].name), batch.rows) }
            val found = module.forward(*values)[0].toTensor()
            found.dataAsFloatArray to found.shape()
        }
        return EngineSupport.rows(logits, shape, batch.rows, name)
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
