package com.edgebert.demo

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.view.ViewGroup
import android.view.WindowManager
import android.widget.Button
import android.widget.CheckBox
import android.widget.EditText
import android.widget.ProgressBar
import android.widget.Switch
import android.widget.TextView
import com.edgebert.runtime.Profile
import java.io.IOException

/** Choose bundles and settings, measure, see the numbers, share the JSON. */
class ProfileActivity : Activity(), MeasurementThread.Listener {
    private lateinit var sources: List<BundleSource>
    private lateinit var boxes: List<CheckBox>
    private lateinit var start: Button
    private lateinit var progress: ProgressBar
    private lateinit var status: TextView
    private lateinit var error: TextView
    private lateinit var results: ViewGroup
    private lateinit var share: View
    private var measuring: MeasurementThread? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.profile)
        padByInsets(findViewById(R.id.root))
        findViews()
        sources = BundleSource.all(this, intent.extras?.documents().orEmpty())
        showChoices(state?.getBooleanArray(CHOSEN))
        start.setOnClickListener { if (measuring?.running == true) measuring?.stop() else measure() }
        share.setOnClickListener { measuring?.profiles?.let(::share) }
        measuring = lastNonConfigurationInstance as MeasurementThread?
        measuring?.listener = this
        measuring?.profiles?.let(::onDone)
        showRunning()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putBooleanArray(CHOSEN, boxes.map { it.isChecked }.toBooleanArray())
    }

    override fun onRetainNonConfigurationInstance(): Any? = measuring

    override fun onDestroy() {
        measuring?.listener = null
        if (!isChangingConfigurations) measuring?.stop()
        super.onDestroy()
    }

    private fun findViews() {
        start = findViewById(R.id.start)
        progress = findViewById(R.id.progress)
        status = findViewById(R.id.status)
        error = findViewById(R.id.error)
        results = findViewById(R.id.results)
        share = findViewById(R.id.share)
    }

    private fun showChoices(chosen: BooleanArray?) {
        val list = findViewById<ViewGroup>(R.id.bundles)
        boxes = sources.mapIndexed { index, source ->
            CheckBox(this).apply {
                text = source.name
                isChecked = chosen?.getOrNull(index) ?: (index == 0)
            }
        }
        boxes.forEach(list::addView)
        if (chosen == null) {
            findViewById<EditText>(R.id.runs).setText(Measurement.DEFAULT_RUNS.toString())
            findViewById<EditText>(R.id.threads).setText("1")
        }
        findViewById<Switch>(R.id.sustained).isEnabled = Measurement.canSustain(this)
    }

    // ---- measuring

    private fun measure() {
        error.visibility = View.GONE
        val bundles = sources.filterIndexed { index, _ -> boxes[index].isChecked }
        val runs = number(R.id.runs, R.string.runs, Measurement.MOST_RUNS) ?: return
        val threads = number(R.id.threads, R.string.threads, Measurement.MOST_THREADS) ?: return
        if (bundles.isEmpty()) return onFailed(getString(R.string.choose_one))
        val wanted = Measurement(bundles, runs, threads, findViewById<Switch>(R.id.sustained).isChecked)
        measuring = MeasurementThread(applicationContext, wanted).also {
            it.listener = this
            it.start()
        }
        results.removeAllViews()
        status.setText(R.string.progress)
        showRunning()
    }

    /** The number in a field; null, and an error on the screen, when there is none from 1 to `most`. */
    private fun number(field: Int, name: Int, most: Int): Int? {
        val number = findViewById<EditText>(field).text.toString().toIntOrNull()
        if (number != null && number in 1..most) return number
        onFailed(getString(R.string.number_wanted, getString(name), most))
        return null
    }

    private fun showRunning() {
        val running = measuring?.running == true
        start.setText(if (running) R.string.stop else R.string.start)
        progress.visibility = if (running) View.VISIBLE else View.GONE
        share.visibility = if (measuring?.profiles == null) View.GONE else View.VISIBLE
        // A measurement is over when the screen sleeps.
        val awake = WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
        if (running) window.addFlags(awake) else window.clearFlags(awake)
        // Each window has its own, also the one after a rotation.
        window.setSustainedPerformanceMode(running && measuring?.measurement?.sustained == true)
    }

    override fun onProgress(done: Int, total: Int) {
        progress.max = total
        progress.progress = done
        progress.contentDescription = getString(R.string.progress_of, done, total)
    }

    override fun onDone(profiles: List<Profile>) {
        status.text = ""
        for (profile in profiles) results.addView(ResultView(results).show(profile))
        showRunning()
    }

    override fun onStopped() {
        status.setText(R.string.stopped)
        showRunning()
    }

    override fun onFailed(message: String) {
        status.text = ""
        error.text = message
        error.visibility = View.VISIBLE
        showRunning()
    }

    private fun share(profiles: List<Profile>) {
        val uri = try {
            ProfileProvider.publish(this, Profile.toJson(profiles))
        } catch (full: IOException) {
            return onFailed(getString(R.string.not_shared, full.message))
        }
        val intent = Intent(Intent.ACTION_SEND).setType(ProfileProvider.MIME).putExtra(Intent.EXTRA_STREAM, uri)
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        intent.clipData = ClipData.newRawUri(null, uri) // what the grant goes by
        startActivity(Intent.createChooser(intent, getString(R.string.share)))
    }

    private companion object {
        const val CHOSEN = "chosen"
    }
}
