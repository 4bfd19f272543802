@file:JvmName("AndroidDevices")

package com.edgebert.runtime

import android.content.Context
import android.os.Build
import android.os.Debug
import android.os.PowerManager
import android.os.SystemClock

/** This phone, for a [Profiler]: its monotonic clock, thermal status (Android 10 and later), memory and build. */
public fun androidDevice(context: Context): Device = Device(
    clock = AndroidClock,
    thermal = AndroidThermal(context.getSystemService(PowerManager::class.java)),
    memory = AndroidMemory,
    affinity = ProcAffinity,
    machine = machine(),
    versions = mapOf("android" to Build.VERSION.RELEASE),
)

private object AndroidClock : Clock {
    override fun nanos(): Long = SystemClock.elapsedRealtimeNanos()
}

private class AndroidThermal(private val power: PowerManager?) : Thermal {
    override fun status(): Int? = if (power != null && Build.VERSION.SDK_INT >= 29) now(power) else null

    @NewerApi
    private fun now(power: PowerManager): Int = power.currentThermalStatus
}

private object AndroidMemory : Memory {
    override fun peakRssMib(): Double = ProcMemory.peakRssMib()

    override fun detailsMib(): Map<String, Double> {
        val found = Debug.MemoryInfo()
        Debug.getMemoryInfo(found)
        val java = Runtime.getRuntime()
        return linkedMapOf(
            "pss_mib" to found.totalPss / 1024.0,
            "native_heap_mib" to Debug.getNativeHeapAllocatedSize() / MIB,
            "java_heap_mib" to (java.totalMemory() - java.freeMemory()) / MIB,
        )
    }
}

private const val MIB = 1024.0 * 1024.0

private fun machine(): Map<String, Any> = linkedMapOf(
    "system" to "Android",
    "release" to Build.VERSION.RELEASE,
    "architecture" to (Build.SUPPORTED_ABIS.firstOrNull() ?: "unknown"),
    "processor" to if (Build.VERSION.SDK_INT >= 31) chip() else Build.HARDWARE,
    "cores" to Runtime.getRuntime().availableProcessors(),
    "manufacturer" to Build.MANUFACTURER,
    "model" to Build.MODEL,
    "api_level" to Build.VERSION.SDK_INT,
)

@NewerApi
private fun chip(): String = "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}"
