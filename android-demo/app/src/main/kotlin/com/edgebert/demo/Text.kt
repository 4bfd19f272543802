package com.edgebert.demo

import java.util.Locale

/** A number of ms with three significant digits or so, as the person's language writes it: 0.0412, 3.21, 128. */
fun decimals(milliseconds: Double): String {
    val digits = when {
        milliseconds < 0.1 -> 4
        milliseconds < 1 -> 3
        milliseconds < 100 -> 2
        else -> 0
    }
    return String.format(Locale.getDefault(), "%.${digits}f", milliseconds)
}

/** A share of 1 as per cent with one decimal, as the person's language writes it. */
fun percent(share: Double): String = String.format(Locale.getDefault(), "%.1f %%", 100 * share)
