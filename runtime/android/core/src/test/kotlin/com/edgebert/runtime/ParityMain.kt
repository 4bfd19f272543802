package com.edgebert.runtime

import java.io.File

/**
 * Answers texts for a test in Python, which compares them with its own. Arguments: bundle, texts (a JSON list of texts
 * or pairs), where to write `{"labels", "logits", "self_test"}`. Runs on any JVM, so on an arm64 one under qemu too.
 */
object ParityMain {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (bundle, texts, out) = arguments.map { File(it) }
        val asked = (Json.parse(texts.readBytes(), texts.name) as List<*>).map {
            if (it is List<*>) Text(it[0] as String, it[1] as String) else Text(it as String)
        }
        EdgeBert.load(bundle).use { model ->
            val logits = model.logits(asked, 1)
            val report = model.selfTest()
            val value = mapOf(
                "labels" to model.classify(asked, 1).map { it.label },
                "logits" to logits.map { row -> row.map { it.toDouble() } },
                "self_test" to listOf(report.passed, report.checked, report.maxDifference),
                "failures" to report.failures,
                "features" to Core.features(),
            )
            out.writeText(Json.write(value))
        }
    }
}
