package com.edgebert.demo

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.TableLayout
import android.widget.TableRow
import android.widget.TextView
import com.edgebert.runtime.Profile
import com.edgebert.runtime.Stage
import java.util.Locale

/** Shows one profile: what it cost in words, its stages in a table, and its histogram. */
class ResultView(parent: ViewGroup) {
    /** To be put into `parent`. */
    val view: View = LayoutInflater.from(parent.context).inflate(R.layout.result, parent, false)
    private val resources = view.resources

    fun show(profile: Profile): View {
        val name = resources.getString(R.string.result_name, profile.bundle["name"], profile.engine)
        view.findViewById<TextView>(R.id.name).text = name
        view.findViewById<TextView>(R.id.summary).text = summary(profile).joinToString("\n")
        val table = view.findViewById<TableLayout>(R.id.stages)
        table.addView(row(listOf(R.string.stage_heading).map(resources::getString) + listOf("p50", "p90", "p95", "p99")))
        for ((stage, title) in STAGES) table.addView(stageRow(resources.getString(title), profile.stages.getValue(stage)))
        view.findViewById<HistogramView>(R.id.histogram).histogram = Histogram(profile.samples.getValue("total"))
        return view
    }

    private fun summary(profile: Profile): List<String> {
        val load = decimals(profile.coldLoadMs)
        val thermal = profile.thermal
        val (before, during, after) = listOf(thermal.before, thermal.during, thermal.after).map(::status)
        return listOfNotNull(
            resources.getString(R.string.load, load, decimals(profile.firstPredictionMs), profile.warmupRuns),
            resources.getString(R.string.speed, whole(profile.sentencesPerSecond), profile.runs, profile.threads),
            resources.getString(R.string.memory, whole(profile.peakRssMib), whole(profile.baseRssMib)),
            resources.getString(R.string.thermal, before, during, after),
            if (thermal.throttled) resources.getString(R.string.throttled) else null,
            if (profile.sustained == true) resources.getString(R.string.sustained_on) else null,
        )
    }

    private fun status(number: Int?): String =
        resources.getStringArray(R.array.thermal_statuses).getOrNull(number ?: -1) ?: resources.getString(R.string.unknown)

    private fun whole(number: Double): String = String.format(Locale.getDefault(), "%,.0f", number)

    private fun stageRow(title: String, stage: Stage): TableRow {
        val numbers = listOf(stage.p50, stage.p90, stage.p95, stage.p99).map(::decimals)
        return row(listOf(title) + numbers).apply {
            contentDescription = resources.getString(R.string.stage_row, title, *numbers.toTypedArray())
        }
    }

    /** One stop for TalkBack, which then reads the row and not its cells. */
    private fun row(cells: List<String>): TableRow = TableRow(view.context).apply {
        isFocusable = true
        for (cell in cells) addView(TextView(context).apply { text = cell })
    }

    private companion object {
        val STAGES = linkedMapOf(
            "tokenize" to R.string.tokenize,
            "infer" to R.string.infer,
            "decode" to R.string.decode,
            "total" to R.string.total,
        )
    }
}
