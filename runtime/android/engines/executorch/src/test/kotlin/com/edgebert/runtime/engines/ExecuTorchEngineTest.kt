package com.edgebert.runtime.engines

import com.edgebert.runtime.Batch
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.InputSpec
import com.edgebert.runtime.Shapes
import java.nio.ByteBuffer
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** The adapter on played classes of ExecuTorch, which runs on a phone only. */
class ExecuTorchEngineTest {
    private val right = Module.answer

    @AfterEach
    fun restore() {
        Module.answer = right
    }

    @Test
    fun `the copy of the program has lost its name once the engine is made`() {
        make().use { engine ->
            assertFalse(Module.loaded!!.exists())
            assertArrayEquals(floatArrayOf(1f, 2f), engine.run(batch)[0])
        }
    }

    @Test
    fun `no copy stays of a program that does not run`() {
        Module.answer = { throw RuntimeException("missing operator") }
        val before = Module.destroyed
        val error = assertThrows<BundleException> { make() }
        assertEquals("ExecuTorch could not run the program: missing operator", error.message)
        assertFalse(Module.loaded!!.exists())
        assertEquals(before + 1, Module.destroyed)
    }

    @Test
    fun `logits that are no floats, and no logits`() {
        make().use { engine ->
            Module.answer = { half }
            val error = assertThrows<BundleException> { engine.run(batch) }
            assertEquals("ExecuTorch could not run the program: not a float tensor", error.message)
            Module.answer = { Tensor(floatArrayOf(1f), longArrayOf(1)) }
            val shape = assertThrows<BundleException> { engine.run(batch) }
            assertEquals("ExecuTorch: the graph gave logits of shape (1,) for 1 text(s)", shape.message)
            engine.close()
            assertThrows<EdgeBertException> { engine.run(batch) }
        }
    }

    private val batch = Batch(1, 4, mapOf("ids" to IntArray(4)))
    private val half = object : Tensor(FloatArray(0), longArrayOf(1, 2)) {
        override fun getDataAsFloatArray(): FloatArray = throw IllegalStateException("not a float tensor")
    }

    private fun make() = ExecuTorchEngine(
        ByteBuffer.allocateDirect(64), listOf(InputSpec("ids", 1, 10)), Shapes(null, null, 1, 8), 1,
    )
}
