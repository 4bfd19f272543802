package com.edgebert.demo

import android.content.Context
import android.os.Handler
import android.os.Looper
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.Profile
import java.util.concurrent.CancellationException

/**
 * A [Measurement] on a thread of its own. It outlives the screen when that is rotated; the listener is told on the main
 * thread.
 */
class MeasurementThread(private val context: Context, val measurement: Measurement) {
    /** Who is told. */
    interface Listener {
        fun onProgress(done: Int, total: Int)
        fun onDone(profiles: List<Profile>)
        fun onStopped()
        fun onFailed(message: String)
    }

    var listener: Listener? = null

    /** Whether the thread runs. */
    var running = false
        private set

    /** The result, once there is one. */
    var profiles: List<Profile>? = null
        private set

    private val main = Handler(Looper.getMainLooper())

    @Volatile
    private var stopped = false

    fun start() {
        running = true
        Thread(::work, "edgebert-profile").start()
    }

    /** Ends it after the round that runs now. */
    fun stop() {
        stopped = true
    }

    private fun work() {
        try {
            val found = measurement.run(context) { done, total ->
                main.post { listener?.onProgress(done, total) }
                !stopped
            }
            end {
                profiles = found
                listener?.onDone(found)
            }
        } catch (stop: CancellationException) {
            end { listener?.onStopped() }
        } catch (error: EdgeBertException) {
            end { listener?.onFailed(error.message.orEmpty()) }
        }
    }

    private fun end(tell: () -> Unit) = main.post {
        running = false
        tell()
    }
}
