package com.edgebert.demo

import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.view.ViewGroup
import android.widget.CheckBox
import android.widget.EditText
import android.widget.Switch
import android.widget.TextView
import java.io.FileNotFoundException
import org.json.JSONObject
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

@RunWith(RobolectricTestRunner::class)
class ProfileActivityTest {
    private val controller: ActivityController<ProfileActivity> =
        Robolectric.buildActivity(ProfileActivity::class.java).setup()
    private val screen: ProfileActivity get() = controller.get()
    private val results: ViewGroup get() = screen.findViewById(R.id.results)

    @After
    fun leave() {
        controller.pause().stop().destroy()
    }

    private fun choose(vararg names: String) {
        for (box in screen.findViewById<View>(R.id.bundles).all().filterIsInstance<CheckBox>()) {
            box.isChecked = box.text.toString() in names
        }
    }

    private fun measure(runs: String, threads: String = "1") {
        screen.findViewById<EditText>(R.id.runs).setText(runs)
        screen.findViewById<EditText>(R.id.threads).setText(threads)
        screen.findViewById<View>(R.id.start).performClick()
    }

    private fun result(number: Int): View = results.getChildAt(number)

    private fun words(result: View): String =
        result.all().filterIsInstance<TextView>().joinToString("\n") { it.text }

    @Test
    fun `two engines are measured side by side`() {
        choose("a-native.edgebert", "c-onnx.edgebert")
        measure("50")
        assertEquals("Stop", screen.text(R.id.start))
        waitFor("two results") { results.childCount == 2 }
        assertEquals("Start", screen.text(R.id.start))
        assertTrue(words(result(0)), words(result(0)).startsWith("tiny-native, native\n"))
        assertTrue(words(result(1)), words(result(1)).startsWith("tiny-onnx, onnx\n"))
        for (result in listOf(result(0), result(1))) {
            for (word in listOf("p50", "p90", "p95", "p99", "tokenize", "infer", "decode", "total", "50 runs", "Memory", "Thermal")) {
                assertTrue("$word in ${words(result)}", words(result).contains(word))
            }
            val bars = result.findViewById<HistogramView>(R.id.histogram)
            assertTrue(bars.contentDescription.startsWith("Histogram of 50 runs from "))
            assertEquals(50, bars.histogram!!.counts.sum())
        }
        assertWordsForAll(screen)
    }

    @Test
    fun `the histogram is drawn, its highest bar where most runs are`() {
        measure("200")
        waitFor("a result") { results.childCount == 1 }
        val bars = result(0).findViewById<HistogramView>(R.id.histogram)
        bars.layout(0, 0, 400, 200)
        val drawn = DrawnBars()
        bars.draw(drawn)
        val shown = bars.histogram!!
        assertEquals(shown.counts.size, drawn.heights.size)
        assertEquals(shown.peak, drawn.heights.indices.maxBy { drawn.heights[it] })
        for ((count, height) in shown.counts.zip(drawn.heights)) {
            assertEquals(count.toFloat() / shown.counts[shown.peak], height / drawn.heights.max(), 1e-3f)
        }
    }

    /** Keeps how high the bars are. */
    private class DrawnBars : Canvas(Bitmap.createBitmap(400, 200, Bitmap.Config.ARGB_8888)) {
        val heights = ArrayList<Float>()

        override fun drawRect(left: Float, top: Float, right: Float, bottom: Float, paint: android.graphics.Paint) {
            heights += bottom - top
        }
    }

    @Test
    fun `what is shared is the JSON, for reading only`() {
        measure("20")
        waitFor("a result") { results.childCount == 1 }
        screen.findViewById<View>(R.id.share).performClick()
        val chooser = shadowOf(screen).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        @Suppress("DEPRECATION")
        val sent = chooser.getParcelableExtra<Intent>(Intent.EXTRA_INTENT)!!
        @Suppress("DEPRECATION")
        val uri = sent.getParcelableExtra<Uri>(Intent.EXTRA_STREAM)!!
        assertEquals("application/json", sent.type)
        assertTrue(sent.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION != 0)
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        val json = resolver.openInputStream(uri)!!.use { it.readBytes().decodeToString() }
        assertEquals(20, JSONObject(json).getInt("runs"))
        assertThrows(FileNotFoundException::class.java) { resolver.openFileDescriptor(uri, "w") }
        val other = uri.buildUpon().path("../shared_prefs/x").build()
        assertThrows(FileNotFoundException::class.java) { resolver.openFileDescriptor(other, "r") }
    }

    @Test
    fun `it can be stopped, and started again`() {
        measure("100000")
        screen.findViewById<View>(R.id.start).performClick()
        waitFor("the stop") { screen.text(R.id.status) == "Stopped" }
        assertEquals(0, results.childCount)
        measure("20")
        waitFor("a result") { results.childCount == 1 }
    }

    @Test
    fun `rotation keeps a running profile`() {
        choose("c-onnx.edgebert")
        screen.findViewById<Switch>(R.id.sustained).isChecked = true
        measure("100000")
        assertTrue(screen.isSustained())
        controller.recreate()
        assertTrue("a window of its own", screen.isSustained())
        assertEquals("measured in no time: ${screen.text(R.id.status)}", 0, results.childCount)
        assertEquals("Stop", screen.text(R.id.start))
        assertEquals("100000", screen.text(R.id.runs))
        screen.findViewById<View>(R.id.start).performClick()
        waitFor("the stop") { screen.text(R.id.status) == "Stopped" }
        assertFalse(screen.isSustained())
    }

    @Test
    fun `rotation keeps a result`() {
        measure("20")
        waitFor("a result") { results.childCount == 1 }
        controller.recreate()
        assertTrue(words(result(0)).contains("20 runs"))
        assertTrue(screen.isVisible(R.id.share))
    }

    @Test
    fun `numbers that make no sense, and no bundle`() {
        measure("0")
        assertEquals("Runs must be a whole number from 1 to 100000.", screen.text(R.id.error))
        measure("10", "65")
        assertEquals("Threads must be a whole number from 1 to 64.", screen.text(R.id.error))
        choose()
        measure("10")
        assertEquals("Choose at least one bundle.", screen.text(R.id.error))
        assertTrue(screen.isVisible(R.id.error))
        assertEquals("Start", screen.text(R.id.start))
    }

    @Test
    fun `a bundle that fails is one sentence`() {
        Robolectric.setupContentProvider(Documents::class.java, "files")
        val uri = Uri.parse("content://files/damaged.edgebert")
        val chosen = Bundle().apply { putDocuments(listOf(BundleSource.Document(uri, "damaged.edgebert"))) }
        val intent = Intent().putExtras(chosen)
        val other = Robolectric.buildActivity(ProfileActivity::class.java, intent).setup().get()
        for (box in other.findViewById<View>(R.id.bundles).all().filterIsInstance<CheckBox>()) {
            box.isChecked = box.text.toString() == "damaged.edgebert"
        }
        other.findViewById<View>(R.id.start).performClick()
        waitFor("the error") { other.isVisible(R.id.error) }
        assertTrue(other.text(R.id.error), other.text(R.id.error).startsWith("content://files/damaged.edgebert: "))
    }
}
