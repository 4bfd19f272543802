package com.edgebert.demo

import android.app.Activity
import android.content.ContentProvider
import android.content.ContentValues
import android.database.Cursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.view.View
import android.view.ViewGroup
import android.view.WindowManager
import android.widget.TextView
import com.edgebert.runtime.Device
import com.edgebert.runtime.MonotonicClock
import com.edgebert.runtime.androidDevice
import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.fail
import org.robolectric.shadows.ShadowLooper

/** The app with a clock that goes: Robolectric's stands still. */
class TestApplication : DemoApplication() {
    override fun device(): Device {
        val phone = androidDevice(this)
        return Device(MonotonicClock, phone.thermal, phone.memory, phone.affinity, phone.machine, phone.versions)
    }
}

/** Another app's files, as Files hands them out: content://files/NAME. */
class Documents : ContentProvider() {
    override fun onCreate(): Boolean = true
    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor =
        ParcelFileDescriptor.open(file(uri.lastPathSegment!!), ParcelFileDescriptor.MODE_READ_ONLY)

    override fun query(uri: Uri, a: Array<String>?, b: String?, c: Array<String>?, d: String?): Cursor? = null
    override fun getType(uri: Uri): String = "application/octet-stream"
    override fun insert(uri: Uri, values: ContentValues?): Uri? = null
    override fun delete(uri: Uri, where: String?, values: Array<String>?): Int = 0
    override fun update(uri: Uri, a: ContentValues?, b: String?, c: Array<String>?): Int = 0
}

/** A bundle that is not in the app: "good.edgebert" or "damaged.edgebert". */
fun file(name: String): File = File(System.getProperty("edgebert.files")!!, name)

/** What a bundle in the app's assets must answer; a label and a probability where it does classification. */
class Expected(val first: String, val second: String?, val label: String, val probability: Double)

/** All that can be typed of a bundle's golden vectors. */
fun expected(bundle: String): List<Expected> = file("$bundle.jsonl").readLines().map(::JSONObject).map {
    val text = it.get("text")
    val (first, second) = if (text is JSONArray) text.getString(0) to text.getString(1) else text as String to null
    val answer = it.getJSONObject("answer")
    Expected(first, second, answer.optString("label"), answer.optDouble("probability"))
}.filter { it.first.isNotBlank() }

/** Lets the app's threads and the main thread work until it is so. */
fun waitFor(what: String, condition: () -> Boolean) {
    val end = System.nanoTime() + 60_000_000_000
    while (!condition()) {
        if (System.nanoTime() > end) fail("waited in vain for: $what")
        Thread.sleep(5)
        ShadowLooper.idleMainLooper()
    }
}

fun Activity.text(id: Int): String = findViewById<TextView>(id).text.toString()

/** Whether the window has asked for sustained performance; the framework hides the flag. */
fun Activity.isSustained(): Boolean {
    val flag = WindowManager.LayoutParams::class.java.getField("PRIVATE_FLAG_SUSTAINED_PERFORMANCE_MODE").getInt(null)
    return WindowManager.LayoutParams::class.java.getField("privateFlags").getInt(window.attributes) and flag != 0
}

fun Activity.isVisible(id: Int): Boolean = findViewById<View>(id).visibility == View.VISIBLE

/** A view and all views in it. */
fun View.all(): List<View> =
    listOf(this) + if (this is ViewGroup) (0 until childCount).flatMap { getChildAt(it).all() } else emptyList()

/** Whatever can be touched or focused says something to TalkBack. */
fun assertWordsForAll(screen: Activity) {
    val silent = screen.findViewById<View>(R.id.root).all().filter { it.isShown && (it.isClickable || it.isFocusable) }
        .filterNot { view -> view.all().any(::hasWords) }
    if (silent.isNotEmpty()) fail("no words for: $silent")
}

private fun hasWords(view: View): Boolean =
    !view.contentDescription.isNullOrBlank() || view is TextView && !(view.text.isNullOrBlank() && view.hint.isNullOrBlank())
