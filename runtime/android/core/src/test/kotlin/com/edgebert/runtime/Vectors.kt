package com.edgebert.runtime

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals

/** What tests/runtime/android/make_vectors.py wrote: bundles, and what the Python runtime makes of them. */
object Vectors {
    val folder = File(checkNotNull(System.getProperty("edgebert.vectors")) { "run the tests by `make test`" })
    private val all = map(Json.parse(File(folder, "vectors.json").readBytes(), "vectors.json"))

    @Suppress("UNCHECKED_CAST")
    fun map(value: Any?): Map<String, Any?> = value as Map<String, Any?>

    @Suppress("UNCHECKED_CAST")
    fun maps(name: String): List<Map<String, Any?>> = all[name] as List<Map<String, Any?>>

    fun map(name: String): Map<String, Any?> = map(all[name])

    fun bundle(name: String): Answers = Answers(map(map("bundles")[name]))

    /** Whether an answer is Python's. */
    fun compare(where: String, expected: Any?, found: Any?) {
        when (expected) {
            is Map<*, *> -> {
                assertEquals(expected.keys, (found as Map<*, *>).keys, where)
                for (key in expected.keys) compare("$where: $key", expected[key], found[key])
            }
            is List<*> -> {
                assertEquals(expected.size, (found as List<*>).size, where)
                for (index in expected.indices) compare("$where: $index", expected[index], found[index])
            }
            is Double -> assertEquals(expected, found as Double, 1e-9 * maxOf(1.0, Math.abs(expected)), where)
            is Long -> assertEquals(expected, (found as Int).toLong(), where)
            else -> assertEquals(expected, found, where)
        }
    }

    fun text(value: Any?): Text =
        if (value is List<*>) Text(value[0] as String, value[1] as String) else Text(value as String)

    fun doubles(value: Any?): List<Double> = (value as List<*>).map { (it as Number).toDouble() }
}

/** What Python answers to some texts about a bundle. */
class Answers(value: Map<String, Any?>) {
    val file = File(value["file"] as String)
    val texts = (value["texts"] as List<*>).map { Vectors.text(it) }
    val ids = (value["ids"] as List<*>).map { item ->
        Vectors.map(item).mapValues { (_, ids) -> (ids as List<*>).map { (it as Long).toInt() } }
    }
    val logits = (value["logits"] as List<*>).map { Vectors.doubles(it) }
    val tags = (value["tags"] as List<*>).map { rows -> (rows as List<*>).flatMap { Vectors.doubles(it) } }
    val labels = (value["labels"] as List<*>).map { it as String }
    val probabilities = (value["probabilities"] as List<*>).map { Vectors.doubles(it) }
}
