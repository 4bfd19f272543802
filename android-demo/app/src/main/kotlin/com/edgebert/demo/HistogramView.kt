package com.edgebert.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View

/** Draws a [Histogram] as bars over an axis in ms, and says it in words to TalkBack. */
class HistogramView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val bars = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = themeColor(android.R.attr.colorAccent) }
    private val words = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = themeColor(android.R.attr.textColorSecondary)
        textSize = TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_SP, 12f, resources.displayMetrics)
    }

    /** What is drawn; nothing when null. */
    var histogram: Histogram? = null
        set(value) {
            field = value
            contentDescription = value?.let(::describe)
            invalidate()
        }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val shown = histogram ?: return
        val axis = height - words.fontSpacing
        val step = width.toFloat() / shown.counts.size
        val unit = axis / shown.counts[shown.peak]
        for ((bin, count) in shown.counts.withIndex()) {
            canvas.drawRect(bin * step, axis - count * unit, (bin + 0.9f) * step, axis, bars)
        }
        canvas.drawLine(0f, axis, width.toFloat(), axis, words)
        val below = height - words.fontMetrics.descent
        drawWords(canvas, resources.getString(R.string.milliseconds, decimals(shown.fastest)), Paint.Align.LEFT, below)
        drawWords(canvas, endOf(shown), Paint.Align.RIGHT, below)
    }

    private fun drawWords(canvas: Canvas, text: String, side: Paint.Align, below: Float) {
        words.textAlign = side
        canvas.drawText(text, if (side == Paint.Align.LEFT) 0f else width.toFloat(), below, words)
    }

    private fun endOf(shown: Histogram): String {
        val end = shown.edge(shown.counts.size)
        return resources.getString(if (shown.slowest > end) R.string.histogram_more else R.string.milliseconds, decimals(end))
    }

    private fun describe(shown: Histogram): String = resources.getString(
        R.string.histogram,
        shown.runs,
        decimals(shown.fastest),
        decimals(shown.slowest),
        decimals(shown.edge(shown.peak)),
        decimals(shown.edge(shown.peak + 1)),
    )

    private fun themeColor(attribute: Int): Int {
        val colors = context.obtainStyledAttributes(intArrayOf(attribute))
        return colors.getColor(0, 0).also { colors.recycle() }
    }
}
