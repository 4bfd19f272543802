package com.edgebert.demo

import android.content.Context
import android.os.PowerManager
import com.edgebert.runtime.LoadOptions
import com.edgebert.runtime.Profile
import com.edgebert.runtime.ProfileSettings
import com.edgebert.runtime.Profiler
import java.util.concurrent.CancellationException

/**
 * What is measured, and how. From the screen or from intent extras, it is the same measurement.
 *
 * @property bundles side by side, in alternating order.
 * @property sustained whether the window has asked for sustained performance.
 */
class Measurement(
    val bundles: List<BundleSource>,
    val runs: Int,
    val threads: Int,
    val sustained: Boolean,
) {
    /**
     * Measures on this thread, which must not be the main one.
     *
     * @param watch is told how many of all predictions are done, rarely enough not to disturb them; false stops.
     * @throws CancellationException `watch` said so.
     * @throws com.edgebert.runtime.EdgeBertException as `EdgeBert.load`.
     */
    fun run(context: Context, watch: (done: Int, total: Int) -> Boolean = { _, _ -> true }): List<Profile> {
        val profilers = profilers(context)
        try {
            return Profiler.compare(profilers) {
                if (!watch(profilers.sumOf { it.runs }, profilers.size * runs)) throw CancellationException()
            }
        } finally {
            profilers.forEach { it.close() }
        }
    }

    private fun profilers(context: Context): List<Profiler> {
        val device = (context.applicationContext as DemoApplication).device()
        val settings = ProfileSettings(runs, null, sustained)
        return bundles.map { bundle -> Profiler(device, settings) { bundle.load(context, LoadOptions(threads = threads)) } }
    }

    companion object {
        const val DEFAULT_RUNS = 200
        const val MOST_RUNS = 100_000
        const val MOST_THREADS = 64

        /** Whether this phone can hold its speed for long when a window asks for it. */
        fun canSustain(context: Context): Boolean =
            context.getSystemService(PowerManager::class.java).isSustainedPerformanceModeSupported
    }
}
