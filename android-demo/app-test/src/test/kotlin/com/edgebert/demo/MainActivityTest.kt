package com.edgebert.demo

import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Color
import android.graphics.Insets
import android.net.Uri
import android.util.TypedValue
import android.view.View
import android.view.ViewGroup
import android.view.WindowInsets
import android.widget.Button
import android.widget.EditText
import android.widget.Spinner
import android.widget.TextView
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

@RunWith(RobolectricTestRunner::class)
class MainActivityTest {
    private var controller: ActivityController<MainActivity>? = null
    private val screen: MainActivity get() = controller!!.get()

    @After
    fun leave() {
        controller?.pause()?.stop()?.destroy()
    }

    private fun start() {
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        waitFor("a bundle") { screen.text(R.id.facts).contains("self-test") }
    }

    private fun choose(position: Int) {
        val opened = screen.text(R.id.facts)
        screen.findViewById<Spinner>(R.id.bundle).setSelection(position)
        waitFor("another bundle") { screen.text(R.id.facts).let { it != opened && it.contains("self-test") } }
    }

    private fun type(text: String, field: Int = R.id.text) = screen.findViewById<EditText>(field).setText(text)

    private fun waitForAnswer(label: String) = waitFor("the answer $label") { screen.text(R.id.answer) == label }

    /** What Files would give back for the question that the screen asked. */
    private fun give(uri: String) {
        val asked = shadowOf(screen).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.action)
        shadowOf(screen).receiveResult(asked, Activity.RESULT_OK, Intent().setData(Uri.parse(uri)))
    }

    private fun openFromFiles(name: String) {
        Robolectric.setupContentProvider(Documents::class.java, "files")
        screen.findViewById<View>(R.id.open).performClick()
        give("content://files/$name")
    }

    @Test
    fun `the first bundle of the app is open, and the rest can be chosen`() {
        start()
        val choice = screen.findViewById<Spinner>(R.id.bundle)
        val names = (0 until choice.adapter.count).map { choice.adapter.getItem(it).toString() }
        assertEquals(listOf("a-native.edgebert", "b-pair.edgebert", "c-onnx.edgebert", "d-scores.edgebert"), names)
        assertTrue(screen.text(R.id.facts), screen.text(R.id.facts).startsWith("tiny-native, tiny, native int8, 3 labels, "))
        assertFalse(screen.isVisible(R.id.error))
    }

    @Test
    fun `typing gives the bundle's own answer, its probabilities and its latency`() {
        start()
        for (vector in expected("a-native")) {
            type(vector.first)
            waitForAnswer(vector.label)
            val best = String.format("%s: %.1f %%", vector.label, 100 * vector.probability)
            waitFor(best) { rows().firstOrNull() == best }
            assertEquals(3, rows().size)
            val latency = screen.text(R.id.latency)
            assertTrue(latency, Regex("[0-9.]+ ms; median of the last \\d+: [0-9.]+ ms").matches(latency))
        }
    }

    private fun rows(): List<String> {
        val rows = screen.findViewById<ViewGroup>(R.id.probabilities)
        return (0 until rows.childCount).map { rows.getChildAt(it).findViewById<TextView>(R.id.label).text.toString() }
    }

    @Test
    fun `of fast typing the last text is answered, and no text has no answer`() {
        start()
        val vectors = expected("a-native")
        for (vector in vectors) type(vector.first)
        waitForAnswer(vectors.last().label)
        type(" ")
        assertEquals("", screen.text(R.id.answer))
        assertEquals("", screen.text(R.id.latency))
    }

    @Test
    fun `a bundle of pairs asks for two texts`() {
        start()
        assertFalse(screen.isVisible(R.id.second_text))
        choose(1)
        assertTrue(screen.isVisible(R.id.second_text))
        for (vector in expected("b-pair")) {
            type(vector.first)
            type(vector.second!!, R.id.second_text)
            waitForAnswer(vector.label)
        }
    }

    @Test
    fun `another engine answers as the bundle says`() {
        start()
        choose(2)
        for (vector in expected("c-onnx")) {
            type(vector.first)
            waitForAnswer(vector.label)
        }
    }

    @Test
    fun `a bundle of another task gives a line and no probabilities`() {
        start()
        type("play music")
        waitFor("the probabilities") { rows().size == 3 }
        choose(3)
        assertTrue(screen.text(R.id.facts), screen.text(R.id.facts).contains("self-test passed"))
        waitFor("a score") { Regex("-?\\d+\\.\\d{4}").matches(screen.text(R.id.answer)) }
        assertEquals(0, rows().size)
    }

    @Test
    fun `a bundle from Files is opened and answers`() {
        start()
        choose(2)
        openFromFiles("good.edgebert")
        waitFor("the bundle from Files") { screen.text(R.id.facts).startsWith("tiny-native") }
        assertEquals("good.edgebert", screen.findViewById<Spinner>(R.id.bundle).selectedItem.toString())
        val vector = expected("a-native").first()
        type(vector.first)
        waitForAnswer(vector.label)
    }

    @Test
    fun `a damaged bundle is one sentence on the screen, and the next one opens`() {
        start()
        openFromFiles("damaged.edgebert")
        waitFor("the error") { screen.isVisible(R.id.error) }
        val said = screen.text(R.id.error)
        assertTrue(said, said.startsWith("content://files/damaged.edgebert: ") && said.contains("damaged"))
        choose(0)
        assertFalse(screen.isVisible(R.id.error))
    }

    @Test
    fun `an error outlives a rotation, and the same file can be tried again`() {
        start()
        openFromFiles("damaged.edgebert")
        waitFor("the error") { screen.isVisible(R.id.error) }
        controller!!.recreate()
        waitFor("the error again") { screen.text(R.id.error).contains("damaged") }
        screen.findViewById<View>(R.id.open).performClick()
        screen.findViewById<TextView>(R.id.error).text = ""
        give("content://files/damaged.edgebert")
        waitFor("the error of the next try") { screen.text(R.id.error).contains("damaged") }
    }

    @Test
    fun `a file that is gone, and an app that is gone, are one sentence each`() {
        start()
        openFromFiles("none.edgebert")
        waitFor("the error") { screen.text(R.id.error).startsWith("cannot read content://files/none.edgebert") }
        screen.findViewById<View>(R.id.open).performClick()
        give("content://nobody/x.edgebert")
        waitFor("the other error") { screen.text(R.id.error).contains("content://nobody/x.edgebert") }
    }

    @Test
    fun `a choice that was given up changes nothing`() {
        start()
        screen.findViewById<View>(R.id.open).performClick()
        val asked = shadowOf(screen).nextStartedActivityForResult.intent
        shadowOf(screen).receiveResult(asked, Activity.RESULT_CANCELED, null)
        assertEquals("a-native.edgebert", screen.findViewById<Spinner>(R.id.bundle).selectedItem.toString())
        assertFalse(screen.isVisible(R.id.error))
    }

    @Test
    fun `rotation keeps the bundle, the text and the answer`() {
        start()
        choose(2)
        openFromFiles("good.edgebert")
        waitFor("the bundle from Files") { screen.text(R.id.facts).startsWith("tiny-native") }
        val vector = expected("a-native").first()
        type(vector.first)
        waitForAnswer(vector.label)
        val before = screen
        RuntimeEnvironment.setQualifiers("+land")
        controller!!.recreate()
        assertNotEquals(before, screen)
        assertEquals("good.edgebert", screen.findViewById<Spinner>(R.id.bundle).selectedItem.toString())
        assertEquals(vector.first, screen.text(R.id.text))
        waitForAnswer(vector.label)
        assertTrue(screen.text(R.id.facts).contains("self-test")) // at once: it was not opened again
    }

    @Test
    fun `the dark theme is light on dark, the light one dark on light`() {
        start()
        assertTrue(luminance(android.R.attr.colorBackground) > luminance(android.R.attr.textColorPrimary))
        RuntimeEnvironment.setQualifiers("+night")
        controller!!.recreate()
        assertTrue(luminance(android.R.attr.colorBackground) < luminance(android.R.attr.textColorPrimary))
    }

    private fun luminance(attribute: Int): Float {
        val value = TypedValue()
        screen.theme.resolveAttribute(attribute, value, true)
        val color = if (value.resourceId == 0) value.data else screen.getColorStateList(value.resourceId).defaultColor
        return Color.luminance(color)
    }

    @Test
    fun `content stays clear of the bars, the cut-out and the keyboard`() {
        start()
        val root = screen.findViewById<View>(R.id.root)
        root.dispatchApplyWindowInsets(
            WindowInsets.Builder()
                .setInsets(WindowInsets.Type.systemBars(), Insets.of(0, 24, 0, 48))
                .setInsets(WindowInsets.Type.displayCutout(), Insets.of(30, 0, 0, 0))
                .setInsets(WindowInsets.Type.ime(), Insets.of(0, 0, 0, 300))
                .build()
        )
        val padding = listOf(root.paddingLeft, root.paddingTop, root.paddingRight, root.paddingBottom)
        assertEquals(listOf(30, 24, 0, 300), padding)
    }

    @Test
    fun `TalkBack has words for all that can be touched, and a finger has room`() {
        start()
        type("x")
        waitFor("an answer") { screen.text(R.id.answer).isNotEmpty() }
        assertWordsForAll(screen)
        val buttons = screen.findViewById<View>(R.id.root).all().filterIsInstance<Button>()
        assertTrue(buttons.isNotEmpty() && buttons.all { it.minimumHeight >= 48 * screen.resources.displayMetrics.density })
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, screen.findViewById<View>(R.id.answer).accessibilityLiveRegion)
    }

    @Test
    fun `the app asks for no permission`() {
        val manager = RuntimeEnvironment.getApplication().packageManager
        val about = manager.getPackageInfo("com.edgebert.demo", PackageManager.GET_PERMISSIONS)
        assertNull(about.requestedPermissions)
    }
}
