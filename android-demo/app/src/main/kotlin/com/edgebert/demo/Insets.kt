package com.edgebert.demo

import android.os.Build
import android.view.View
import android.view.WindowInsets

/**
 * Keeps a screen's content clear of the bars, the cut-out and the keyboard, which it is drawn behind since Android 15.
 *
 * The view's own padding stays and the insets come on top.
 */
fun padByInsets(view: View) {
    val (left, top, right, bottom) = listOf(view.paddingLeft, view.paddingTop, view.paddingRight, view.paddingBottom)
    view.setOnApplyWindowInsetsListener { padded, insets ->
        val taken = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) allInsets(insets) else systemInsets(insets)
        padded.setPadding(left + taken[0], top + taken[1], right + taken[2], bottom + taken[3])
        insets
    }
}

@NewerApi
private fun allInsets(insets: WindowInsets): IntArray {
    val kinds = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout() or WindowInsets.Type.ime()
    val taken = insets.getInsets(kinds)
    return intArrayOf(taken.left, taken.top, taken.right, taken.bottom)
}

@Suppress("DEPRECATION") // the only way before Android 11
private fun systemInsets(insets: WindowInsets): IntArray = intArrayOf(
    insets.systemWindowInsetLeft,
    insets.systemWindowInsetTop,
    insets.systemWindowInsetRight,
    insets.systemWindowInsetBottom,
)
