package com.edgebert.runtime

import android.os.Looper
import java.util.concurrent.Executors
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class MainThreadTest {
    private val known = Vectors.bundle("native")
    private val text = known.texts[0].first

    @BeforeEach
    fun begin() {
        Looper.mainThread = Thread.currentThread()
    }

    @AfterEach
    fun end() {
        Looper.mainThread = null
    }

    @Test
    fun `nothing runs on the main thread unless that is asked for`() {
        val error = assertThrows<MainThreadException> { EdgeBert.load(known.file) }
        assertTrue(error.message!!.contains("call it on another thread"))
        val pool = Executors.newSingleThreadExecutor()
        pool.submit<EdgeBert> { EdgeBert.load(known.file) }.get().use { model ->
            assertThrows<MainThreadException> { model.classify(text) }
            assertThrows<MainThreadException> { model.logits(known.texts) }
            assertThrows<MainThreadException> { model.predict(text) }
            assertThrows<MainThreadException> { model.ask(known.texts) }
            assertThrows<MainThreadException> { model.featurize(emptyList()) }
            assertThrows<MainThreadException> { model.selfTest() }
            assertEquals(known.labels[0], model.classifyAsync(text, pool).get().label)
        }
        pool.shutdown()
        EdgeBert.load(known.file, LoadOptions(allowMainThread = true)).use { model ->
            assertEquals(known.labels[0], model.classify(text).label)
        }
    }
}
