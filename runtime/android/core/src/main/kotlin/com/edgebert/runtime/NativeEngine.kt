package com.edgebert.runtime

import java.nio.ByteBuffer
import java.util.concurrent.Callable
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.ExecutionException
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException

/** The C core, for n-gram students: text in, logits out, in one pass. The model is read in place. */
internal class NativeEngine(
    model: ByteBuffer,
    graph: GraphSpec,
    private val threads: Int,
) : TextEngine {
    override val packageName: String get() = "edgebert"
    override val version: String get() = EdgeBert.VERSION

    @Volatile
    private var opened: Opened? = open(model).also { checkOutput(graph, it.classes) }
    private val pool: ExecutorService? = if (threads > 1) Executors.newFixedThreadPool(threads, ::daemon) else null

    override fun read(texts: List<Text>): Array<FloatArray> {
        val model = opened ?: throw EngineSupport.closed()
        if (pool == null || texts.size < 2 * FEWEST_PER_THREAD) return model.read(texts, 0)
        val size = maxOf(FEWEST_PER_THREAD, (texts.size + threads - 1) / threads)
        try {
            val jobs = texts.chunked(size).mapIndexed { part, some -> Callable { model.read(some, part * size) } }
            return pool.invokeAll(jobs).flatMap { it.get().asList() }.toTypedArray()
        } catch (error: RejectedExecutionException) { // `close` in another thread came in between
            throw EngineSupport.closed()
        } catch (error: ExecutionException) {
            throw error.cause ?: error
        }
    }

    /** The memory goes when no call uses it any more: the garbage collector sees to that. */
    override fun close() {
        opened = null
        pool?.shutdown()
    }

    private fun open(model: ByteBuffer): Opened {
        CoreLibrary.load()
        val memory = directMemory(Core.modelSize())
        val status = Core.modelOpen(memory, model, 0, model.capacity().toLong(), Core.features())
        coreError(status.toLong())?.let { throw BundleException("the native core refuses the model: $it") }
        return Opened(model, memory)
    }

    /** The core answers with one row a text. */
    private fun checkOutput(graph: GraphSpec, width: Int) {
        if (graph.outputs.size == 1 && graph.outputs[0].width == width && !graph.outputs[0].perToken) return
        val names = graph.outputs.joinToString(", ") {
            "${repr(it.name)} with ${it.width} columns" + if (it.perToken) " for each token" else ""
        }
        throw BundleException(
            "the native model gives one row of $width numbers a text, but the manifest names $names"
        )
    }

    /** A handle of the core, the file it points into, and scratch memory for as many threads as have called. */
    private class Opened(private val file: ByteBuffer, private val memory: ByteBuffer) {
        val classes = Core.modelClasses(memory)
        private val pair = Core.modelTakesPairs(memory) == 1
        private val idle = ConcurrentLinkedQueue<ByteBuffer>()

        /** `before` texts precede these in the call; for messages. */
        fun read(texts: List<Text>, before: Int): Array<FloatArray> {
            val scratch = idle.poll() ?: directMemory(Core.modelScratch(memory))
            try {
                return Array(texts.size) { logits(texts[it], before + it + 1, scratch) }
            } finally {
                check(file.isDirect) // keeps the file mapped until the core has returned: a field only written may go
                idle.add(scratch)
            }
        }

        private fun logits(text: Text, number: Int, scratch: ByteBuffer): FloatArray {
            checkPair(text, pair)
            val out = FloatArray(classes)
            val second = text.second?.let { utf8(it, number) }
            val status = Core.logits(memory, utf8(text.first, number), second, out, scratch)
            coreError(status.toLong())?.let { throw DataException("text $number: $it") }
            return out
        }
    }

    private companion object {
        /** Texts; below that, starting a thread costs more than it saves. */
        const val FEWEST_PER_THREAD = 256

        fun daemon(work: Runnable): Thread = Thread(work, "edgebert").apply { isDaemon = true }
    }
}
