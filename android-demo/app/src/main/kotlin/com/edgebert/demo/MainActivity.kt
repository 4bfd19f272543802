package com.edgebert.demo

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.os.Bundle
import android.text.Editable
import android.text.TextWatcher
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import com.edgebert.runtime.Text
import com.edgebert.runtime.decode.Classification

/** Pick a bundle, type a text, see the answer and what it took. With [Headless] extras it measures and says nothing. */
class MainActivity : Activity(), Session.Listener {
    private lateinit var session: Session
    private lateinit var choice: Spinner
    private lateinit var facts: TextView
    private lateinit var first: EditText
    private lateinit var second: EditText
    private lateinit var answer: TextView
    private lateinit var probabilities: ViewGroup
    private lateinit var latency: TextView
    private lateinit var error: TextView

    private val documents = ArrayList<BundleSource.Document>()
    private var sources: List<BundleSource> = emptyList()

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        padByInsets(findViewById(R.id.root))
        findViews()
        session = lastNonConfigurationInstance as Session? ?: Session(applicationContext)
        documents += state?.documents().orEmpty()
        if (Headless.isAsked(intent)) return measure(state == null)
        listenToTheScreen()
        showSources(state?.getInt(CHOSEN) ?: 0)
        session.listener = this
        session.opened?.let(::onOpened)
    }

    /** Nothing else is loaded and nothing drawn meanwhile: the numbers are the bundle's own. */
    private fun measure(first: Boolean) {
        for (view in listOf(R.id.bundle, R.id.open, R.id.text, R.id.profile)) findViewById<View>(view).visibility = View.GONE
        val headless = Headless(this) { facts.text = it }
        headless.prepare()
        if (first) headless.start()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putDocuments(documents)
        state.putInt(CHOSEN, choice.selectedItemPosition)
    }

    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onDestroy() {
        session.listener = null
        if (!isChangingConfigurations) session.close()
        super.onDestroy()
    }

    // ---- what the person does

    private fun findViews() {
        choice = findViewById(R.id.bundle)
        facts = findViewById(R.id.facts)
        first = findViewById(R.id.text)
        second = findViewById(R.id.second_text)
        answer = findViewById(R.id.answer)
        probabilities = findViewById(R.id.probabilities)
        latency = findViewById(R.id.latency)
        error = findViewById(R.id.error)
    }

    private fun listenToTheScreen() {
        findViewById<View>(R.id.open).setOnClickListener { pick() }
        findViewById<View>(R.id.profile).setOnClickListener {
            val chosen = Bundle().apply { putDocuments(documents) }
            startActivity(Intent(this, ProfileActivity::class.java).putExtras(chosen))
        }
        choice.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(list: AdapterView<*>, row: View?, position: Int, id: Long) {
                if (session.source != sources[position]) session.open(sources[position])
            }

            override fun onNothingSelected(list: AdapterView<*>) = Unit
        }
        val typed = object : TextWatcher {
            override fun afterTextChanged(text: Editable) = ask()
            override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit
            override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit
        }
        first.addTextChangedListener(typed)
        second.addTextChangedListener(typed)
    }

    private fun pick() {
        // A bundle has no MIME type of its own, and apps that keep files disagree on what to call it.
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        try {
            @Suppress("DEPRECATION") // its successor is in AndroidX
            startActivityForResult(intent, PICK)
        } catch (none: ActivityNotFoundException) {
            onError(getString(R.string.no_picker))
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (request == PICK && result == RESULT_OK && uri != null) session.find(uri)
    }

    override fun onDocument(document: BundleSource.Document) {
        if (document !in documents) documents += document
        showSources(0)
        choice.setSelection(sources.indexOf(document))
    }

    private fun showSources(chosen: Int) {
        sources = BundleSource.all(this, documents)
        choice.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, sources)
        choice.visibility = if (sources.isEmpty()) View.GONE else View.VISIBLE
        if (sources.isEmpty()) facts.setText(R.string.no_bundle) else choice.setSelection(chosen.coerceIn(sources.indices))
    }

    private fun ask() {
        val pair = session.opened?.model?.takesPairs ?: return
        if (first.text.isBlank()) return showNothing()
        session.ask(Text(first.text.toString(), if (pair) second.text.toString() else null))
    }

    // ---- what the model says

    override fun onOpening(source: BundleSource) {
        error.visibility = View.GONE
        facts.text = getString(R.string.loading, source.name)
        showNothing()
    }

    override fun onOpened(opened: Opened) {
        val about = opened.model.manifest
        val size = android.text.format.Formatter.formatShortFileSize(this, opened.model.bundle.size)
        val format = "${about.format} ${about.precision}"
        val found = opened.selfTest
        val verdict = // it stays on the screen: a wrong answer looks like any other
            if (found.passed) getString(R.string.self_test_passed)
            else getString(R.string.self_test_failed, found.failures.first())
        facts.text = getString(R.string.facts, about.name, about.student, format, about.labels.size, size, verdict)
        second.visibility = if (opened.model.takesPairs) View.VISIBLE else View.GONE
        ask()
    }

    override fun onAnswer(answered: Answered) {
        error.visibility = View.GONE
        val found = answered.answer
        answer.text = if (found !is Classification) found.summary() else if (found.sure) found.label else "-"
        val milliseconds = decimals(answered.milliseconds)
        latency.text = getString(R.string.latency, milliseconds, answered.count, decimals(answered.median))
        showProbabilities(if (found is Classification) found.probabilities else emptyMap())
    }

    private fun showProbabilities(all: Map<String, Double>) {
        val best = all.entries.sortedByDescending { it.value }.take(SHOWN)
        while (probabilities.childCount > best.size) probabilities.removeViewAt(probabilities.childCount - 1)
        while (probabilities.childCount < best.size) layoutInflater.inflate(R.layout.probability, probabilities)
        for ((row, entry) in best.withIndex()) showProbability(probabilities.getChildAt(row), entry.key, entry.value)
    }

    override fun onError(message: String) {
        if (session.opened == null) facts.text = ""
        showNothing()
        error.text = message
        error.visibility = View.VISIBLE
    }

    private fun showProbability(row: View, label: String, probability: Double) {
        row.findViewById<TextView>(R.id.label).text = getString(R.string.probability, label, percent(probability))
        row.findViewById<ProgressBar>(R.id.bar).progress = (1000 * probability).toInt()
    }

    private fun showNothing() {
        answer.text = ""
        latency.text = ""
        probabilities.removeAllViews()
    }

    companion object {
        private const val CHOSEN = "chosen"
        private const val PICK = 1
        private const val SHOWN = 5
    }
}
