package com.edgebert.runtime

/**
 * The thermal status during a profile: 0 (none) to 6 (shutdown), null where the system does not tell.
 *
 * @property before when the runs began.
 * @property during the highest seen while the runs were timed.
 * @property after when the runs had ended.
 * @property throttled whether the device slowed itself down: a status above 0, or, where there is none, a fixed piece
 *   of work that took 10 % longer after the runs than before them.
 */
public data class ThermalFacts(
    public val before: Int?,
    public val during: Int?,
    public val after: Int?,
    public val throttled: Boolean,
)

/**
 * What a bundle costs here. The JSON is the workstation's (runtime/edgebert_runtime/profile.py, "schema" 1), and one
 * more field, "device", with what only a phone has.
 *
 * @property bundle name, task, student, format, precision, max_length, labels (their number), size_bytes, model_bytes.
 * @property engine the engine's name.
 * @property threads used inside one run.
 * @property runs timed predictions.
 * @property warmupRuns predictions before them.
 * @property coldLoadMs from the closed file to a model that can answer.
 * @property firstPredictionMs the first answer, which pays for what is set up late.
 * @property stages "tokenize", "infer", "decode" and "total".
 * @property samples milliseconds of every run, by stage.
 * @property peakRssMib peak resident memory of the whole process, in MiB.
 * @property baseRssMib the same before the bundle was loaded, in MiB.
 * @property texts "count" and "mean_length" (in tokens or words) of the golden texts.
 * @property machine what it ran on; [Device.machine].
 * @property versions of what took part, by package.
 * @property thermal how hot the device was.
 * @property memoryMib what the system says of the process's memory after the runs; [Memory.detailsMib].
 * @property sustained whether the window asked for sustained performance; null when nobody said.
 * @property cores which cores the measuring thread might use.
 * @property created UTC, ISO 8601.
 */
public class Profile(
    public val bundle: Map<String, Any>,
    public val engine: String,
    public val threads: Int,
    public val runs: Int,
    public val warmupRuns: Int,
    public val coldLoadMs: Double,
    public val firstPredictionMs: Double,
    public val stages: Map<String, Stage>,
    public val samples: Map<String, DoubleArray>,
    public val peakRssMib: Double,
    public val baseRssMib: Double,
    public val texts: Map<String, Double>,
    public val machine: Map<String, Any>,
    public val versions: Map<String, String>,
    public val created: String,
    public val thermal: ThermalFacts,
    public val memoryMib: Map<String, Double>,
    public val sustained: Boolean?,
    public val cores: String?,
) {
    /** Answers a second, one text at a time. */
    public val sentencesPerSecond: Double get() = 1000.0 / stages.getValue("total").mean

    /** The JSON that workstation and phone share, and "device". */
    public fun toJson(): String = Json.write(toMap())

    internal fun toMap(): Map<String, Any?> = linkedMapOf(
        "bundle" to bundle,
        "engine" to engine,
        "threads" to threads,
        "runs" to runs,
        "warmup_runs" to warmupRuns,
        "cold_load_ms" to coldLoadMs,
        "first_prediction_ms" to firstPredictionMs,
        "stages" to stages.mapValues { (_, it) ->
            linkedMapOf("mean" to it.mean, "p50" to it.p50, "p90" to it.p90, "p99" to it.p99)
        },
        "sentences_per_second" to sentencesPerSecond,
        "peak_rss_mib" to peakRssMib,
        "base_rss_mib" to baseRssMib,
        "texts" to texts,
        "machine" to machine,
        "versions" to versions,
        "created" to created,
        "schema" to SCHEMA,
        "device" to device(),
    )

    private fun device(): Map<String, Any?> = linkedMapOf(
        "thermal" to linkedMapOf("before" to thermal.before, "during" to thermal.during, "after" to thermal.after),
        "throttled" to thermal.throttled,
        "sustained" to sustained,
        "cores" to cores,
        "memory_mib" to memoryMib,
        "p95" to stages.mapValues { it.value.p95 },
        "samples_ms" to samples.mapValues { it.value.toList() },
    )

    public companion object {
        /** The version of the JSON. */
        public const val SCHEMA: Int = 1

        /** One profile as its own JSON, several as `{"schema": 1, "profiles": [...]}`. */
        @JvmStatic
        public fun toJson(profiles: List<Profile>): String = profiles.singleOrNull()?.toJson()
            ?: Json.write(linkedMapOf("schema" to SCHEMA, "profiles" to profiles.map { it.toMap() }))

        /** What stands in place of a profile that failed: one sentence and the error's kind. */
        @JvmStatic
        public fun failureJson(error: Throwable): String = Json.write(
            linkedMapOf(
                "schema" to SCHEMA,
                "error" to (error.message ?: error.javaClass.simpleName),
                "kind" to if (error is EdgeBertException) error.kind else "EdgeBertError",
            )
        )
    }
}
