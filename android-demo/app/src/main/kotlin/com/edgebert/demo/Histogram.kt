package com.edgebert.demo

import com.edgebert.runtime.Statistics

/**
 * Runs counted by how long they took, in equal steps from the fastest run to the 99th percentile; the last bin also holds
 * every slower run. Without that, one run that the system interrupted would press all others into the first bin.
 *
 * @param samples ms, at least one.
 */
class Histogram(samples: DoubleArray) {
    /** Runs in each bin. */
    val counts: IntArray = Statistics.histogram(samples, BINS)

    /** Number of runs. */
    val runs: Int = samples.size

    /** The fastest run, in ms. */
    val fastest: Double = samples.min()

    /** The slowest run, in ms. */
    val slowest: Double = samples.max()

    /** The bin that most runs are in. */
    val peak: Int = counts.indices.maxBy { counts[it] }

    private val width = (Statistics.percentile(samples, SHOWN) - fastest) / BINS

    /** Where a bin begins, in ms. */
    fun edge(bin: Int): Double = fastest + bin * width

    private companion object {
        const val BINS = 40
        const val SHOWN = 99.0
    }
}
