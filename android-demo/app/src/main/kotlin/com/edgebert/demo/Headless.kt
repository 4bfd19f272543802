package com.edgebert.demo

import android.app.Activity
import android.content.Intent
import android.content.pm.ActivityInfo
import android.os.PowerManager
import android.os.Process
import android.util.Log
import android.view.WindowManager.LayoutParams
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.Profile
import com.edgebert.runtime.UsageException
import java.io.File
import java.io.IOException

/**
 * A profile that a computer asks for by intent extras, and reads from a file (docs/android.md lists them).
 *
 * Any app may send extras, so each is checked. Bundles and result lie in the app's own folder on the shared storage, where
 * a computer may read and write and, from Android 11 on, other apps may not.
 *
 * @param show is told, on the main thread, what to write on the screen.
 */
class Headless(private val activity: Activity, private val show: (String) -> Unit) {
    private val intent = activity.intent

    /** Asks the window for all that a measurement needs; each window anew, for a change of the language makes a new one. */
    @Suppress("DEPRECATION") // the flags' successors came with Android 8.1
    fun prepare() {
        val shown = LayoutParams.FLAG_SHOW_WHEN_LOCKED or LayoutParams.FLAG_TURN_SCREEN_ON
        activity.window.addFlags(LayoutParams.FLAG_KEEP_SCREEN_ON or shown)
        activity.window.setSustainedPerformanceMode(sustained())
        activity.requestedOrientation = ActivityInfo.SCREEN_ORIENTATION_LOCKED
    }

    /** Measures on a thread of its own, then writes the result; a process that cannot write it ends, for someone waits. */
    fun start() {
        val result = try {
            File(folder(), checked(RESULT, text(RESULT), ".json")) // never the name of a bundle
        } catch (error: UsageException) { // there is no place for a result
            Log.e(TAG, error.message.orEmpty())
            return show(error.message.orEmpty())
        }
        show(activity.getString(R.string.progress))
        Thread({ finish(result, answer()) }, "edgebert-profile").start()
    }

    private fun answer(): String = try {
        Profile.toJson(measurement().run(activity.applicationContext).also { checkAwake() })
    } catch (error: Throwable) { // whatever it is, the computer waits for an answer
        Log.e(TAG, "the profile failed", error)
        Profile.failureJson(error)
    }

    private fun finish(result: File, json: String) {
        try {
            writeWhole(result, json)
            activity.runOnUiThread { show(activity.getString(R.string.written, result.name)) }
        } catch (error: IOException) { // the computer finds the process gone, and the reason in the log
            Log.e(TAG, "the result cannot be written", error)
            Process.killProcess(Process.myPid())
        }
    }

    /** In the dark Android gives an app its slowest cores: such numbers are no numbers. */
    private fun checkAwake() {
        if (activity.getSystemService(PowerManager::class.java).isInteractive) return
        throw EdgeBertException("the phone's screen went dark while it measured: leave it on and try again")
    }

    private fun measurement(): Measurement {
        val runs = if (intent.hasExtra(RUNS)) intent.getIntExtra(RUNS, 0) else Measurement.DEFAULT_RUNS
        if (runs !in 1..Measurement.MOST_RUNS) {
            throw UsageException("runs must be a whole number from 1 to ${Measurement.MOST_RUNS}, not $runs")
        }
        val names = text(PROFILE).split(",")
        if (names.size > MOST_BUNDLES) throw UsageException("at most $MOST_BUNDLES bundles are measured, not ${names.size}")
        val bundles = names.map { File(folder(), checked(PROFILE, it, "")) }
        val threads = if (intent.hasExtra(THREADS)) intent.getIntExtra(THREADS, 0) else 1
        return Measurement(bundles.map { BundleSource.InFolder(it) }, runs, threads, sustained())
    }

    private fun sustained(): Boolean = intent.getBooleanExtra(SUSTAINED, false) && Measurement.canSustain(activity)

    private fun text(key: String): String =
        intent.getStringExtra(key) ?: throw UsageException("the extra $key is missing or no text")

    /** The name of a file in the folder, and of none outside it. */
    private fun checked(key: String, name: String, end: String): String {
        if (!NAME.matches(name)) {
            throw UsageException("the extra $key must be a file name of letters, digits, '.', '_' and '-', not '$name'")
        }
        if (!name.endsWith(end)) throw UsageException("the extra $key must end in $end, not '$name'")
        return name
    }

    private fun folder(): File = BundleSource.folder(activity)
        ?: throw UsageException("the shared storage is not there: unlock the phone and try again")

    companion object {
        private const val TAG = "EdgeBERT"
        private const val PREFIX = "com.edgebert.demo."

        /** Text: names of bundles in the folder, with commas between them. */
        const val PROFILE = PREFIX + "PROFILE"

        /** Text: name of the JSON file to write. */
        const val RESULT = PREFIX + "RESULT"

        /** Number: timed predictions of each. */
        const val RUNS = PREFIX + "RUNS"

        /** Number: threads inside one run. */
        const val THREADS = PREFIX + "THREADS"

        /** Boolean: ask the window for sustained performance. */
        const val SUSTAINED = PREFIX + "SUSTAINED"

        private const val MOST_BUNDLES = 8
        private val NAME = Regex("[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")

        /** Whether these extras ask for a profile. */
        fun isAsked(intent: Intent): Boolean = try {
            intent.hasExtra(PROFILE)
        } catch (error: RuntimeException) { // extras of a class that this app does not have
            false
        }
    }
}
