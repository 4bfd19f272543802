package com.edgebert.runtime

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

/**
 * How a bundle is measured.
 *
 * @property runs timed predictions, 1 or more.
 * @property warmup predictions before them; null stops by itself when the times have settled.
 * @property sustained whether the app has asked its window for sustained performance; only written down.
 */
public data class ProfileSettings @JvmOverloads constructor(
    public val runs: Int = 200,
    public val warmup: Int? = null,
    public val sustained: Boolean? = null,
)

/**
 * Measures a bundle, a step at a time, so that an app can show how far it is, stop, or take turns between engines.
 *
 * The protocol is the workstation's: load, first prediction, warm-up until a fast and a slow moving average agree, then
 * one text at a time, round and round the golden texts, with a clock around tokenize, infer and decode. Cold load and
 * peak memory are honest only in a process that has loaded nothing before. Use it from one thread, not the main one.
 *
 * @param load opens the bundle; called by the first step. The profiler closes the model.
 */
public class Profiler @JvmOverloads constructor(
    private val device: Device,
    private val settings: ProfileSettings = ProfileSettings(),
    private val load: () -> EdgeBert,
) : AutoCloseable {
    /** What the next [step] does. */
    public enum class State { LOAD, FIRST, WARM_UP, RUN, DONE }

    /** What the next [step] does. */
    public var state: State = State.LOAD
        private set

    /** Timed predictions so far. */
    public var runs: Int = 0
        private set

    /** Milliseconds of the whole of each timed prediction so far: what a live histogram shows. */
    public val totals: DoubleArray get() = samples.getValue("total").copyOf(runs)

    private var model: EdgeBert? = null
    private var texts: List<Text> = emptyList()
    private var baseRssMib = 0.0
    private var coldLoadMs = 0.0
    private var firstMs = 0.0
    private val warmUp = WarmUp()
    private val samples = STAGES.associateWith { DoubleArray(settings.runs) }
    private var heat = Heat(device)
    private var result: Profile? = null

    init {
        if (settings.runs < 1) throw UsageException("runs must be a whole number from 1, not ${settings.runs}")
        val warmup = settings.warmup
        if (warmup != null && warmup < 0) throw UsageException("warmup must be a whole number from 0, not $warmup")
    }

    /**
     * Does the next thing: loads, predicts once, warms up one round through the texts, or times one prediction.
     *
     * @return the state after it.
     * @throws EdgeBertException as [EdgeBert.load] and [EdgeBert.predict]; then the profile is over.
     */
    public fun step(): State {
        when (state) {
            State.LOAD -> loadModel()
            State.FIRST -> predictFirst()
            State.WARM_UP -> warmUpOneRound()
            State.RUN -> runOnce()
            State.DONE -> Unit
        }
        return state
    }

    /** All steps that are left, and then the result. */
    public fun finish(): Profile {
        while (state != State.DONE) step()
        return profile()
    }

    /**
     * The result.
     *
     * @throws IllegalStateException before [State.DONE].
     */
    public fun profile(): Profile = checkNotNull(result) { "the profile is not done" }

    /** Closes the model. The result stays. */
    override fun close() {
        model?.close()
        model = null
    }

    private fun loadModel() {
        baseRssMib = device.memory.peakRssMib()
        val start = device.clock.nanos()
        val loaded = load()
        coldLoadMs = since(start)
        model = loaded
        texts = loaded.bundle.golden().map { it.text }
        state = State.FIRST
    }

    private fun predictFirst() {
        val start = device.clock.nanos()
        opened().predict(texts.take(1))
        firstMs = since(start)
        state = State.WARM_UP
    }

    private fun warmUpOneRound() {
        val fixed = settings.warmup
        val left = if (fixed == null) texts.size else minOf(texts.size, fixed - warmUp.runs)
        val start = device.clock.nanos()
        for (index in 0 until left) timed(texts[index])
        val done = warmUp.round(left, since(start))
        if (if (fixed == null) done else warmUp.runs >= fixed) {
            heat = Heat(device)
            state = State.RUN
        }
    }

    private fun runOnce() {
        val times = timed(texts[runs % texts.size])
        for ((name, milliseconds) in STAGES.zip(times.asList())) samples.getValue(name)[runs] = milliseconds
        runs++
        // Asking Android for its thermal status is a call into another process: not after every run.
        if (runs % 50 == 0 || runs == settings.runs) heat.look()
        if (runs == settings.runs) end()
    }

    private fun end() {
        result = profileOf(opened())
        state = State.DONE
        close()
    }

    /**
     * Milliseconds of tokenize, infer, decode and the whole, for one text. An engine that reads text itself is timed
     * from text to outputs; tokenizing is timed apart, and infer is the rest.
     */
    private fun timed(text: Text): DoubleArray {
        val model = opened()
        val one = listOf(text)
        var start = device.clock.nanos()
        val asked = model.ask(one)
        val features = model.featurize(asked)
        var tokenized = device.clock.nanos()
        val apart = tokenized - start
        if (model.readsText) start = tokenized
        val outputs = model.infer(asked, features, 1)
        if (model.readsText) tokenized = start + minOf(apart, device.clock.nanos() - start)
        val inferred = device.clock.nanos()
        model.decode(asked, outputs)
        val end = device.clock.nanos()
        return doubleArrayOf(
            (tokenized - start) / NANOS,
            (inferred - tokenized) / NANOS,
            (end - inferred) / NANOS,
            (end - start) / NANOS,
        )
    }

    private fun profileOf(model: EdgeBert): Profile {
        val thermal = heat.facts()
        return Profile(
            bundle = bundleFacts(model),
            engine = model.engine,
            threads = model.threads,
            runs = runs,
            warmupRuns = warmUp.runs,
            coldLoadMs = coldLoadMs,
            firstPredictionMs = firstMs,
            stages = samples.mapValues { Statistics.stage(it.value) },
            samples = samples,
            peakRssMib = device.memory.peakRssMib(),
            baseRssMib = baseRssMib,
            texts = textFacts(model),
            machine = device.machine,
            versions = versions(model),
            created = utcNow(),
            thermal = thermal,
            memoryMib = device.memory.detailsMib(),
            sustained = settings.sustained,
            cores = device.affinity.cores(),
        )
    }

    private fun bundleFacts(model: EdgeBert): Map<String, Any> {
        val manifest = model.manifest
        return linkedMapOf(
            "name" to manifest.name,
            "task" to manifest.task,
            "student" to manifest.student,
            "format" to manifest.format,
            "precision" to manifest.precision,
            "max_length" to manifest.maxLength,
            "labels" to manifest.labels.size,
            "size_bytes" to model.bundle.size,
            "model_bytes" to manifest.files.getValue(model.bundle.modelName).size,
        )
    }

    private fun textFacts(model: EdgeBert): Map<String, Double> {
        val lengths = model.featurize(model.ask(texts)).map { lengthOf(it, model.manifest.graph.inputs) }
        return linkedMapOf("count" to texts.size.toDouble(), "mean_length" to lengths.average())
    }

    private fun versions(model: EdgeBert): Map<String, String> {
        val (name, version) = model.engineVersion
        val engine = if (version == null) emptyMap() else mapOf(name to version)
        return (device.versions + engine + mapOf("edgebert" to EdgeBert.VERSION)).toSortedMap()
    }

    private fun opened(): EdgeBert = checkNotNull(model) { "the profiler is closed" }

    private fun since(start: Long): Double = (device.clock.nanos() - start) / NANOS

    public companion object {
        private const val NANOS = 1e6
        private val STAGES = listOf("tokenize", "infer", "decode", "total")

        /**
         * Measures several models side by side: each is loaded and warmed up in turn, then they take turns with one
         * round of `round` timed predictions each, in an order that reverses every time, so that none always runs on
         * the hotter device.
         *
         * @param between is called before each step of loading and warming up, before each round, and at the end: to
         *   show how far it is, or to stop by throwing.
         */
        @JvmStatic
        @JvmOverloads
        public fun compare(profilers: List<Profiler>, round: Int = 20, between: () -> Unit = {}): List<Profile> {
            for (profiler in profilers) {
                while (profiler.state < State.RUN) {
                    between()
                    profiler.step()
                }
            }
            var order = profilers
            while (order.any { it.state == State.RUN }) {
                between()
                for (profiler in order) repeat(round) { profiler.step() }
                order = order.reversed()
            }
            between()
            return profilers.map { it.profile() }
        }

        private fun utcNow(): String {
            val format = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT)
            format.timeZone = TimeZone.getTimeZone("UTC")
            return format.format(Date())
        }
    }
}

/** Decides when the times have settled: the workstation's rule. Whole rounds, so that a long text is no slow run. */
internal class WarmUp {
    var runs = 0
        private set
    private var rounds = 0
    private var milliseconds = 0.0
    private var fast = 0.0
    private var slow = 0.0

    /** Takes in a round of `count` predictions; whether it was the last. */
    fun round(count: Int, took: Double): Boolean {
        val mean = if (count == 0) 0.0 else took / count
        fast = if (rounds == 0) mean else 0.5 * fast + 0.5 * mean
        slow = if (rounds == 0) mean else 0.8 * slow + 0.2 * mean
        rounds++
        runs += count
        milliseconds += took
        val settled = runs >= LEAST && rounds >= 3 && Math.abs(fast - slow) <= 0.05 * slow
        return settled || runs >= MOST || milliseconds >= MOST_MILLISECONDS
    }

    private companion object {
        const val LEAST = 10
        const val MOST = 2000
        const val MOST_MILLISECONDS = 10_000.0
    }
}

/** The thermal status from its making to [facts], or the speed of a fixed piece of work where there is no status. */
internal class Heat(private val device: Device) {
    private val before = device.thermal.status()
    private var during = before
    private val workBefore = if (before == null) work() else 0L

    fun look() {
        val now = device.thermal.status() ?: return
        during = maxOf(during ?: 0, now)
    }

    fun facts(): ThermalFacts {
        look()
        val after = device.thermal.status()
        val throttled = if (before == null) work() > 1.1 * workBefore else (during ?: 0) > 0 || (after ?: 0) > 0
        return ThermalFacts(before, during, after, throttled)
    }

    /** Nanoseconds of the same work; the best of several, since others take the processor too. */
    private fun work(): Long = (1..7).minOf {
        val start = device.clock.nanos()
        var state = 1L
        repeat(100_000) { state = state * 6364136223846793005L + 1442695040888963407L }
        check(state != 0L) // so that the loop is not left out
        device.clock.nanos() - start
    }
}
