package com.edgebert.runtime

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** The profile of a real model; clock and thermal status are played where they decide something. */
class ProfilerTest {
    private val file = Vectors.bundle("native").file

    /** Every look takes a thousandth of a second more. */
    private class Ticking : Clock {
        var now = 0L
        override fun nanos(): Long {
            now += 1_000_000
            return now
        }
    }

    private class Played(vararg values: Int?) : Thermal {
        private val left = values.toMutableList()
        override fun status(): Int? = if (left.size > 1) left.removeAt(0) else left[0]
    }

    private fun device(clock: Clock = MonotonicClock, thermal: Thermal = Played(0)): Device {
        val jvm = Device.jvm()
        return Device(clock, thermal, jvm.memory, jvm.affinity, jvm.machine, jvm.versions)
    }

    @Test
    fun `percentiles are numpy's`() {
        for (known in Vectors.maps("statistics")) {
            val samples = Vectors.doubles(known["samples"]).toDoubleArray()
            val stage = Statistics.stage(samples)
            val found = listOf(stage.p50, stage.p90, stage.p95, stage.p99)
            for ((a, b) in found.zip(Vectors.doubles(known["percentiles"]))) assertEquals(b, a, 1e-12)
            assertEquals(known["mean"] as Double, stage.mean, 1e-12)
            assertEquals(samples.size, Statistics.histogram(samples, 10).sum())
        }
        val evenly = Statistics.histogram(DoubleArray(101) { it.toDouble() }, 11)
        assertTrue(evenly.all { it in 9..11 }, evenly.toList().toString())
    }

    @Test
    fun `a real profile has the fields of the workstation`() {
        val profile = Profiler(Device.jvm(), ProfileSettings(runs = 60)) { EdgeBert.load(file) }.finish()
        File("target/profile.json").writeText(profile.toJson()) // tests/runtime/android reads it with Python
        val json = Vectors.map(Json.parse(profile.toJson().toByteArray(), "the profile"))
        val workstation = listOf(
            "bundle", "engine", "threads", "runs", "warmup_runs", "cold_load_ms", "first_prediction_ms", "stages",
            "sentences_per_second", "peak_rss_mib", "base_rss_mib", "texts", "machine", "versions", "created", "schema",
        )
        assertEquals(workstation + "device", json.keys.toList())
        assertEquals(listOf(1L, "native", 1L, 60L), listOf("schema", "engine", "threads", "runs").map { json[it] })
        for (stage in profile.stages.values) {
            assertTrue(stage.p50 <= stage.p90 && stage.p90 <= stage.p95 && stage.p95 <= stage.p99)
        }
        val parts = listOf("tokenize", "infer", "decode").sumOf { profile.stages.getValue(it).mean }
        assertEquals(profile.stages.getValue("total").mean, parts, 1e-9)
        assertTrue(profile.coldLoadMs > 0 && profile.warmupRuns >= 18 && profile.peakRssMib > 10)
        assertEquals(60, profile.samples.getValue("total").size)
    }

    @Test
    fun `steps, states and times by a clock that is played`() {
        val profiler = Profiler(device(Ticking()), ProfileSettings(runs = 3, warmup = 8)) { EdgeBert.load(file) }
        val states = generateSequence { profiler.step() }.take(8).toList()
        val expected = listOf("FIRST", "WARM_UP", "WARM_UP", "RUN", "RUN", "RUN", "DONE", "DONE")
        assertEquals(expected, states.map { it.name })
        val profile = profiler.profile()
        assertEquals(8, profile.warmupRuns)
        assertEquals(1.0, profile.coldLoadMs)
        assertEquals(listOf(1.0, 1.0, 1.0), profile.samples.getValue("tokenize").toList())
        assertEquals(listOf(3.0, 3.0, 3.0), profiler.totals.toList())
        assertThrows<IllegalStateException> { Profiler(Device.jvm()) { EdgeBert.load(file) }.profile() }
        assertThrows<UsageException> { Profiler(Device.jvm(), ProfileSettings(runs = 0)) { EdgeBert.load(file) } }
        assertThrows<BundleException> { Profiler(Device.jvm()) { EdgeBert.load(File("no")) }.step() }
    }

    @Test
    fun `warm-up ends when the averages agree, or at its limits`() {
        val steady = WarmUp()
        assertEquals(listOf(false, false, true), (1..3).map { steady.round(16, 160.0) })
        val slowing = WarmUp()
        val rounds = generateSequence(1.0) { it * 1.3 }.map { slowing.round(16, it) }.takeWhile { !it }.count() + 1
        assertTrue(slowing.runs in 400..2000 && rounds > 20, "$rounds")
        val slow = WarmUp()
        assertTrue(slow.round(16, 10_000.0))
    }

    @Test
    fun `heat`() {
        fun facts(vararg status: Int?, clock: Clock = Ticking()): ThermalFacts {
            val heat = Heat(device(clock, Played(*status)))
            heat.look()
            return heat.facts()
        }
        assertEquals(ThermalFacts(0, 0, 0, false), facts(0))
        assertEquals(ThermalFacts(0, 2, 1, true), facts(0, 2, 1))
        assertEquals(ThermalFacts(null, null, null, false), facts(null))
        val slowing = object : Clock {
            private var step = 1L
            private var now = 0L
            override fun nanos(): Long {
                now += step
                step += 100
                return now
            }
        }
        assertEquals(ThermalFacts(null, null, null, true), facts(null, clock = slowing))
    }

    @Test
    fun `two models take turns`() {
        val order = ArrayList<String>()
        fun profiler(name: String, runs: Int): Profiler {
            val clock = object : Clock {
                override fun nanos(): Long {
                    order += name
                    return System.nanoTime()
                }
            }
            return Profiler(device(clock), ProfileSettings(runs = runs, warmup = 0)) { EdgeBert.load(file) }
        }
        val profiles = Profiler.compare(listOf(profiler("a", 4), profiler("b", 4)), round = 2)
        val turns = order.fold(listOf<String>()) { all, name -> if (all.lastOrNull() == name) all else all + name }
        assertEquals(listOf("a", "b", "a", "b", "a"), turns)
        val json = Vectors.map(Json.parse(Profile.toJson(profiles).toByteArray(), "it"))
        assertEquals(2, (json["profiles"] as List<*>).size)
        assertEquals(profiles[0].toJson(), Profile.toJson(profiles.take(1)))
        assertNull(profiles[0].sustained)
        val failure = Vectors.map(Json.parse(Profile.failureJson(BundleException("broken")).toByteArray(), "it"))
        assertEquals(mapOf("schema" to 1L, "error" to "broken", "kind" to "BundleError"), failure)
    }
}
