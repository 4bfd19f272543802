package com.edgebert.runtime.engines

import com.edgebert.runtime.Bundle
import com.edgebert.runtime.EdgeBert
import com.edgebert.runtime.Matrix
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Every cell of the matrix task x student x format x precision: Python's golden vectors, replayed by this library. */
class MatrixTest {
    /** The formats whose engine a desktop's JVM has. LiteRT's and ExecuTorch's libraries for Java are for phones only. */
    private val engines = setOf("native", "onnx")

    @Test
    fun `the bundles are there, and are of the list`() {
        val missing = Matrix.needed - Matrix.found.toSet()
        val unknown = Matrix.found - Matrix.cells.toSet()
        assertTrue(Matrix.needed.isNotEmpty() && missing.isEmpty() && unknown.isEmpty()) {
            "${Matrix.folder} lacks $missing, and has $unknown that sdk/edgebert/proved.json does not list: " +
                "run `pytest tests/matrix`, which makes them (a part of `make test`), then this again"
        }
    }

    @Test
    fun `each cell answers as in Python`() {
        val replayed = Matrix.found.associateWith { cell ->
            val format = Bundle.open(Matrix.file(cell)).use { bundle ->
                val manifest = bundle.manifest
                val name = listOf(manifest.task, manifest.student, manifest.format, manifest.precision)
                assertEquals(cell, name.joinToString("-"))
                Matrix.checkDecode(bundle)
                manifest.format
            }
            if (format in engines) {
                EdgeBert.load(Matrix.file(cell)).use { model ->
                    val report = model.selfTest()
                    assertTrue(report.passed && report.checked > 16, "$cell: $report")
                }
            }
            if (format in engines) "engine" else "decode"
        }
        Matrix.write(File("target/matrix.json"), replayed)
    }
}
