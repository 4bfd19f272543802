package com.edgebert.runtime

import com.edgebert.runtime.decode.Context
import com.edgebert.runtime.decode.Decoders
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals

/** The bundles of tests/matrix, each for a cell that sdk/edgebert/proved.json lists. */
object Matrix {
    private val known = Vectors.map("matrix")

    /** Where they lie. */
    val folder = File(known["folder"] as String)

    /** The names of the cells: task, student, format and precision, with dashes between. */
    val cells = (known["cells"] as List<*>).map { it as String }

    /** Those of them that `make test` makes a bundle of. */
    val needed = (known["needed"] as List<*>).map { it as String }

    /** The cells whose bundles are there. */
    val found = folder.list().orEmpty().filter { it.endsWith(".edgebert") }.map { it.removeSuffix(".edgebert") }

    fun file(cell: String) = File(folder, "$cell.edgebert")

    /**
     * All of the library but the engine, on the golden vectors: the ids of each text, and the answer that the outputs
     * stored there mean. Both must be Python's.
     */
    fun checkDecode(bundle: Bundle) {
        val manifest = bundle.manifest
        val context = Context(manifest.graph.outputs, manifest.settings)
        val decoder = Decoders.KNOWN.getValue(manifest.task).make(manifest.task, context)
        val featurizer = loadFeaturizer(manifest.featurizer, bundle::map)
        for ((index, vector) in bundle.golden().withIndex()) {
            val where = "${bundle.path}, vector ${index + 1}"
            val asked = Asked(vector.text, decoder.cut(vector.text, index + 1, featurizer))
            val ids = asked.pieces.map { plain(featurizer.features(it.text, index + 1)) }
            assertEquals(vector.pieces.map { plain(it.ids) }, ids, where)
            val outputs = vector.pieces.map { piece ->
                piece.outputs.mapValues { (name, output) ->
                    val size = output.shape.fold(1) { all, one -> all * one }
                    assertEquals(size, output.values.size, "$where: $name is a sample, and nothing can be decoded")
                    Tensor(output.shape, output.values)
                }
            }
            Vectors.compare(where, vector.answer, decoder.decode(asked, outputs, featurizer).toJson())
        }
    }

    /** Leaves for Python what was done about each cell; tests/runtime/android compares it with proved.json. */
    fun write(file: File, replayed: Map<String, String>) = file.writeText(Json.write(replayed))

    private fun plain(ids: Features) = ids.mapValues { it.value.toList() }
}
