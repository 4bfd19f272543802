package com.edgebert.runtime.engines

import com.edgebert.runtime.Batch
import com.edgebert.runtime.BundleException
import com.edgebert.runtime.EdgeBertException
import com.edgebert.runtime.GraphSpec
import com.edgebert.runtime.InputSpec
import com.edgebert.runtime.OutputSpec
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
            val (intent, slots) = engine.run(batch).toList()
            assertEquals(listOf("intent", "slots"), listOf(intent.first, slots.first))
            assertArrayEquals(floatArrayOf(1f, 2f), intent.second.values)
            assertArrayEquals(intArrayOf(1, 4, 1), slots.second.shape)
            assertArrayEquals(floatArrayOf(3f, 4f, 5f, 6f), slots.second.values)
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
    fun `outputs that are no floats, of another shape, not finite, and too few`() {
        make().use { engine ->
            val (intent, slots) = right(1)
            for ((answer, sentence) in listOf(
                listOf(half, slots) to "ExecuTorch could not run the program: not a float tensor",
                listOf(intent) to "ExecuTorch: the program gives 1 outputs, but the manifest names 2",
                listOf(intent, Tensor(FloatArray(3), longArrayOf(1, 3, 1))) to
                    "ExecuTorch: the graph gave 'slots' in the shape [1, 3, 1], but the manifest says [1, 4, 1]",
                listOf(Tensor(floatArrayOf(1f, Float.NaN), longArrayOf(1, 2)), slots) to
                    "ExecuTorch: the graph gave numbers in 'intent' that are not finite; " +
                    "its weights are damaged or overflow",
            )) {
                Module.answer = { answer }
                assertEquals(sentence, assertThrows<BundleException> { engine.run(batch) }.message)
            }
            engine.close()
            assertThrows<EdgeBertException> { engine.run(batch) }
        }
    }

    @Test
    fun `a program for certain lengths has a method for each`() {
        make().use { assertEquals("forward", Module.ran) }
        val shapes = Shapes(1, listOf(4, 8), 1, 8)
        ExecuTorchEngine(ByteBuffer.allocateDirect(64), GraphSpec(graph.inputs, graph.outputs, shapes), 1).use {
            it.run(batch)
            assertEquals("seq4", Module.ran)
        }
    }

    private val batch = Batch(1, 4, mapOf("ids" to IntArray(4)))
    private val half = object : Tensor(FloatArray(0), longArrayOf(1, 2)) {
        override fun getDataAsFloatArray(): FloatArray = throw IllegalStateException("not a float tensor")
    }

    private fun make() = ExecuTorchEngine(ByteBuffer.allocateDirect(64), graph, 1)

    private val graph = GraphSpec(
        listOf(InputSpec("ids", 1, 10)),
        listOf(OutputSpec("intent", 2), OutputSpec("slots", 1, perToken = true)),
        Shapes(null, null, 4, 8),
    )
}
