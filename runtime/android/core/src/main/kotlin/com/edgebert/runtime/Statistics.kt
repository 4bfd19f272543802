package com.edgebert.runtime

/**
 * Milliseconds of one stage over all runs.
 *
 * @property mean of all runs.
 * @property p50, p90, p95, p99 percentiles, by linear interpolation between the ranked samples.
 */
public data class Stage(
    public val mean: Double,
    public val p50: Double,
    public val p90: Double,
    public val p95: Double,
    public val p99: Double,
)

/** Numbers about samples. */
public object Statistics {
    /** The percentile `percent` (0 to 100) of at least one sample, by linear interpolation between the ranked ones. */
    @JvmStatic
    public fun percentile(samples: DoubleArray, percent: Double): Double = ranked(samples.sortedArray(), percent)

    /** Mean and percentiles of at least one sample, in milliseconds. */
    @JvmStatic
    public fun stage(samples: DoubleArray): Stage {
        val sorted = samples.sortedArray()
        return Stage(
            mean = samples.average(),
            p50 = ranked(sorted, 50.0),
            p90 = ranked(sorted, 90.0),
            p95 = ranked(sorted, 95.0),
            p99 = ranked(sorted, 99.0),
        )
    }

    /**
     * How many samples fall into each of `bins` equal parts of the range from the smallest to the 99th percentile; what
     * lies beyond counts in the last.
     */
    @JvmStatic
    public fun histogram(samples: DoubleArray, bins: Int): IntArray {
        val counts = IntArray(bins)
        if (samples.isEmpty()) return counts
        val sorted = samples.sortedArray()
        val width = (ranked(sorted, 99.0) - sorted[0]) / bins
        for (sample in samples) {
            val bin = if (width > 0) ((sample - sorted[0]) / width).toInt() else 0
            counts[bin.coerceAtMost(bins - 1)]++
        }
        return counts
    }

    private fun ranked(sorted: DoubleArray, percent: Double): Double {
        val rank = percent / 100 * (sorted.size - 1)
        val below = rank.toInt()
        val above = minOf(below + 1, sorted.size - 1)
        return sorted[below] + (rank - below) * (sorted[above] - sorted[below])
    }
}
