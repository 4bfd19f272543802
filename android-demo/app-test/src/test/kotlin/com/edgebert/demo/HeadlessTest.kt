package com.edgebert.demo

import android.content.Intent
import android.content.pm.ActivityInfo
import android.os.PowerManager
import android.os.Process
import android.view.View
import android.view.WindowManager.LayoutParams
import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowProcess

/** The profile that a computer asks for through adb: extras in, a file out. */
@RunWith(RobolectricTestRunner::class)
class HeadlessTest {
    private val folder: File = RuntimeEnvironment.getApplication().getExternalFilesDir(null)!!

    @Before
    fun push() {
        for (name in listOf("good.edgebert", "damaged.edgebert")) file(name).copyTo(File(folder, name), overwrite = true)
    }

    private fun start(extras: Intent.() -> Unit): MainActivity =
        Robolectric.buildActivity(MainActivity::class.java, Intent().apply(extras)).setup().get()

    private fun result(name: String = "result.json"): JSONObject {
        val file = File(folder, name)
        waitFor(name) { file.isFile }
        return JSONObject(file.readText())
    }

    private fun failure(kind: String, extras: Intent.() -> Unit): String {
        start {
            putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "result.json")
            extras()
        }
        val found = result()
        assertEquals(setOf("schema", "error", "kind"), found.keys().asSequence().toSet())
        assertEquals(kind, found.getString("kind"))
        return found.getString("error")
    }

    @Test
    fun `the profile is measured and written whole`() {
        val screen = start {
            putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "result.json")
            putExtra(Headless.RUNS, 25).putExtra(Headless.THREADS, 2)
        }
        val found = result()
        assertEquals(1, found.getInt("schema"))
        assertEquals("tiny-native", found.getJSONObject("bundle").getString("name"))
        assertEquals("native", found.getString("engine"))
        assertEquals(25, found.getInt("runs"))
        assertEquals(2, found.getInt("threads"))
        assertTrue(found.getDouble("cold_load_ms") > 0)
        val samples = found.getJSONObject("device").getJSONObject("samples_ms").getJSONArray("total")
        assertEquals(25, samples.length())
        assertTrue((0 until 25).all { samples.getDouble(it) > 0 })
        assertFalse(found.getJSONObject("device").getBoolean("sustained"))
        waitFor("the word on the screen") { screen.text(R.id.facts) == "Measured: result.json" }
        assertArrayEquals(arrayOf("damaged.edgebert", "good.edgebert", "result.json"), folder.list()!!.sortedArray())
    }

    @Test
    fun `nothing else is loaded, and nothing can be touched meanwhile`() {
        val screen = start { putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "result.json") }
        for (view in listOf(R.id.bundle, R.id.open, R.id.text, R.id.profile)) {
            assertEquals(View.GONE, screen.findViewById<View>(view).visibility)
        }
        result()
    }

    @Test
    fun `several bundles are several profiles`() {
        File(folder, "other.edgebert").writeBytes(file("good.edgebert").readBytes())
        start {
            putExtra(Headless.PROFILE, "good.edgebert,other.edgebert").putExtra(Headless.RESULT, "result.json")
            putExtra(Headless.RUNS, 30)
        }
        val profiles = result().getJSONArray("profiles")
        assertEquals(listOf(30, 30), (0 until profiles.length()).map { profiles.getJSONObject(it).getInt("runs") })
    }

    @Test
    fun `a bundle that is not there or damaged`() {
        assertTrue(failure("BundleError") { putExtra(Headless.PROFILE, "none.edgebert") }.contains("none.edgebert: no such file"))
        File(folder, "result.json").delete()
        assertTrue(failure("BundleError") { putExtra(Headless.PROFILE, "damaged.edgebert") }.contains("damaged"))
    }

    @Test
    fun `a result that cannot be written ends the process, for the computer waits for one of the two`() {
        File(folder, "result.json").mkdirs()
        val screen = start { putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "result.json") }
        waitFor("the end") { ShadowProcess.wasKilled(Process.myPid()) }
        assertEquals("Measuring", screen.text(R.id.facts))
    }

    @Test
    fun `in the dark there are no numbers`() {
        shadowOf(RuntimeEnvironment.getApplication().getSystemService(PowerManager::class.java)).turnScreenOn(false)
        val said = failure("EdgeBertError") {}
        assertEquals("the phone's screen went dark while it measured: leave it on and try again", said)
    }

    @Test
    @Suppress("DEPRECATION")
    fun `the window stays lit above the lock, also when it is made anew`() {
        val extras = Intent().putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "result.json")
        val controller = Robolectric.buildActivity(MainActivity::class.java, extras).setup()
        repeat(2) {
            val flags = controller.get().window.attributes.flags
            for (flag in listOf(LayoutParams.FLAG_KEEP_SCREEN_ON, LayoutParams.FLAG_SHOW_WHEN_LOCKED)) assertTrue(flags and flag != 0)
            assertEquals(ActivityInfo.SCREEN_ORIENTATION_LOCKED, controller.get().requestedOrientation)
            controller.recreate()
        }
        result()
    }

    @Test
    fun `more bundles than fit side by side`() {
        val said = failure("UsageError") { putExtra(Headless.PROFILE, List(9) { "good.edgebert" }.joinToString(",")) }
        assertEquals("at most 8 bundles are measured, not 9", said)
    }

    @Test
    fun `numbers that make no sense`() {
        for ((key, value) in listOf(Headless.RUNS to 0, Headless.RUNS to 100_001, Headless.THREADS to 0, Headless.THREADS to 257)) {
            val said = failure("UsageError") { putExtra(key, value) }
            assertTrue(said, said.contains("must be a whole number from 1 to") && said.endsWith("not $value"))
            File(folder, "result.json").delete()
        }
        assertTrue(failure("UsageError") { putExtra(Headless.RUNS, "many") }.contains("not 0"))
    }

    @Test
    fun `names that lead out of the folder`() {
        for (name in listOf("../good.edgebert", "/etc/hosts", ".hidden", "", "a b", "x".repeat(101))) {
            val said = failure("UsageError") { putExtra(Headless.PROFILE, name) }
            assertEquals("the extra ${Headless.PROFILE} must be a file name of letters, digits, '.', '_' and '-', not '$name'", said)
            File(folder, "result.json").delete()
        }
    }

    @Test
    fun `without a place for the result nothing is written, and the screen says why`() {
        val outside = start { putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "../../result.json") }
        assertTrue(outside.text(R.id.facts).startsWith("the extra ${Headless.RESULT} must be a file name"))
        val bundle = start { putExtra(Headless.PROFILE, "good.edgebert").putExtra(Headless.RESULT, "good.edgebert") }
        assertEquals("the extra ${Headless.RESULT} must end in .json, not 'good.edgebert'", bundle.text(R.id.facts))
        val without = start { putExtra(Headless.PROFILE, "good.edgebert") }
        assertEquals("the extra ${Headless.RESULT} is missing or no text", without.text(R.id.facts))
        Thread.sleep(300)
        assertEquals(setOf("damaged.edgebert", "good.edgebert"), folder.list()!!.toSet())
    }
}
