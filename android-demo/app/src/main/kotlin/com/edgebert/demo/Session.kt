package com.edgebert.demo

import android.content.Context
import android.net.Uri
import android.os.Handler
import android.os.Looper
import com.edgebert.runtime.Answer
import com.edgebert.runtime.EdgeBert
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.SelfTest
import com.edgebert.runtime.Text
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicReference

/** What is known about the open bundle. */
class Opened(val source: BundleSource, val model: EdgeBert, val selfTest: SelfTest)

/**
 * One answer and what it took.
 *
 * @property milliseconds this prediction took.
 * @property median ms, over the last `count` predictions.
 */
class Answered(val answer: Answer, val milliseconds: Double, val median: Double, val count: Int)

/**
 * The open model and the one thread that talks to it. It outlives the screen when that is rotated.
 *
 * Everything here is called, and every listener is told, on the main thread.
 */
class Session(private val context: Context) {
    /** Who is told; null while there is no screen. */
    interface Listener {
        fun onDocument(document: BundleSource.Document)
        fun onOpening(source: BundleSource)
        fun onOpened(opened: Opened)
        fun onAnswer(answered: Answered)
        fun onError(message: String)
    }

    var listener: Listener? = null

    /** The bundle that is open or being opened; null while there is none, and after one that could not be opened. */
    var source: BundleSource? = null
        private set

    /** What is open; null while nothing is. */
    var opened: Opened? = null
        private set

    private val main = Handler(Looper.getMainLooper())
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "edgebert") }
    private val question = AtomicReference<Text?>()
    private val recent = ArrayDeque<Double>()

    /** Finds out what a document is called. */
    fun find(uri: Uri) = worker.execute {
        val found = BundleSource.document(context, uri)
        main.post { listener?.onDocument(found) }
    }

    /** Closes what is open and opens another bundle. */
    fun open(wanted: BundleSource) {
        closeOpened()
        source = wanted
        opened = null
        recent.clear()
        listener?.onOpening(wanted)
        onWorker({ source == wanted && opened == null }) {
            val model = wanted.load(context)
            val found = Opened(wanted, model, tested(model))
            main.post { if (source == wanted && opened == null) use(found) else model.close() }
        }
    }

    /** Asks the model; of questions that arrive faster than answers only the newest is answered. */
    fun ask(text: Text) {
        val asked = opened ?: return
        if (question.getAndSet(text) != null) return
        onWorker({ opened === asked }) {
            val newest = checkNotNull(question.getAndSet(null))
            val start = System.nanoTime()
            val found = asked.model.predict(listOf(newest)).single()
            val milliseconds = (System.nanoTime() - start) / 1e6
            main.post { if (opened === asked) listener?.onAnswer(remember(found, milliseconds)) }
        }
    }

    /** Ends the thread and closes the model. */
    fun close() {
        listener = null
        source = null
        closeOpened()
        opened = null
        worker.shutdown()
    }

    /** After what the worker runs now: the main thread does not wait for it. */
    private fun closeOpened() {
        val model = opened?.model ?: return
        worker.execute { model.close() }
    }

    private fun use(found: Opened) {
        opened = found
        listener?.onOpened(found)
    }

    private fun remember(found: Answer, milliseconds: Double): Answered {
        recent.addLast(milliseconds)
        if (recent.size > REMEMBERED) recent.removeFirst()
        return Answered(found, milliseconds, recent.sorted()[recent.size / 2], recent.size)
    }

    /** Errors are answers too, for a bundle can come from anywhere; one that nobody waits for is not told. */
    private fun onWorker(awaited: () -> Boolean, action: () -> Unit) = worker.execute {
        try {
            action()
        } catch (error: EdgeBertException) {
            main.post { if (awaited()) fail(error.message.orEmpty()) }
        }
    }

    private fun fail(message: String) {
        if (opened == null) source = null // choosing it again tries again, as does a rotation
        listener?.onError(message)
    }

    /** The self-test, which fails as a whole when the bundle's test vectors cannot be read. */
    private fun tested(model: EdgeBert): SelfTest = try {
        selfTest(model)
    } catch (error: EdgeBertException) {
        model.close()
        throw error
    }

    /** Our own core gives the same bits everywhere; another engine may round otherwise on another processor. */
    private fun selfTest(model: EdgeBert): SelfTest =
        if (model.engine == "native") model.selfTest() else model.selfTest(OTHER_PROCESSOR)

    private companion object {
        const val REMEMBERED = 20
        const val OTHER_PROCESSOR = 0.05
    }
}
