package com.edgebert.runtime

import java.io.File
import java.io.IOException

/** A clock that never goes back. */
public interface Clock {
    /** Nanoseconds since some moment. */
    public fun nanos(): Long
}

/** How hot the device is. */
public interface Thermal {
    /** Android's thermal status, 0 (none) to 6 (shutdown); null where the system does not tell. */
    public fun status(): Int?
}

/** What the process holds in memory. */
public interface Memory {
    /** Peak resident memory of the process, in MiB. */
    public fun peakRssMib(): Double

    /** More, in MiB by name, where the system tells it: "pss_mib", "native_heap_mib", "java_heap_mib". */
    public fun detailsMib(): Map<String, Double>
}

/** Which processor cores the measuring thread may run on. */
public interface Affinity {
    /** Such as "0-7"; null where the system does not tell. */
    public fun cores(): String?
}

/**
 * What a profile is measured on; everything that a test wants to play is an interface.
 *
 * @property clock what the milliseconds are taken by.
 * @property thermal how hot it is.
 * @property memory what the process holds.
 * @property affinity which cores it may use.
 * @property machine for the profile's "machine": system, release, architecture, processor, cores, and more on a phone.
 * @property versions for the profile's "versions": what runs beside EdgeBERT and the engine.
 */
public class Device(
    public val clock: Clock,
    public val thermal: Thermal,
    public val memory: Memory,
    public val affinity: Affinity,
    public val machine: Map<String, Any>,
    public val versions: Map<String, String>,
) {
    public companion object {
        /** The machine that this JVM runs on; a phone's is `androidDevice(context)` of the Android module. */
        @JvmStatic
        public fun jvm(): Device = Device(
            clock = MonotonicClock,
            thermal = object : Thermal {
                override fun status(): Int? = null
            },
            memory = ProcMemory,
            affinity = ProcAffinity,
            machine = mapOf(
                "system" to property("os.name"),
                "release" to property("os.version"),
                "architecture" to property("os.arch"),
                "processor" to (procLine("/proc/cpuinfo", "model name") ?: property("os.arch")),
                "cores" to Runtime.getRuntime().availableProcessors(),
            ),
            versions = mapOf("java" to property("java.version")),
        )

        private fun property(name: String): String = System.getProperty(name) ?: "unknown"
    }
}

/** `System.nanoTime`: on Android it stops while the device sleeps, which a running profile prevents. */
public object MonotonicClock : Clock {
    override fun nanos(): Long = System.nanoTime()
}

/** Memory from Linux's /proc, which a process on Android may read about itself. */
public object ProcMemory : Memory {
    override fun peakRssMib(): Double {
        val line = procLine("/proc/self/status", "VmHWM") ?: return 0.0
        return (line.removeSuffix("kB").trim().toLongOrNull() ?: 0L) / 1024.0
    }

    override fun detailsMib(): Map<String, Double> = emptyMap()
}

/** Affinity of the calling thread, from Linux's /proc. */
public object ProcAffinity : Affinity {
    override fun cores(): String? = procLine("/proc/thread-self/status", "Cpus_allowed_list")
}

/** What stands behind `name:` in a file of /proc. */
internal fun procLine(path: String, name: String): String? = try {
    File(path).useLines { lines ->
        lines.firstOrNull { it.substringBefore(':').trim() == name }?.substringAfter(':')?.trim()
    }
} catch (error: IOException) {
    null
}
