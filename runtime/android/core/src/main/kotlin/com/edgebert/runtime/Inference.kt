package com.edgebert.runtime

/**
 * Features to outputs, in their order: ids checked, texts grouped by length, padded, run, each cut to its own tokens.
 *
 * @throws BundleException ids outside the embedding tables, features longer than the graph takes, or a failing graph.
 */
internal fun infer(engine: GraphEngine, features: List<Features>, graph: GraphSpec, batchSize: Int): List<Outputs> {
    val (inputs, shapes) = graph.inputs to graph.shapes
    for (item in features) checkFeatures(item, inputs, shapes.maxLength)
    val lengths = features.map { padLength(lengthOf(it, inputs), shapes) }
    val found = arrayOfNulls<Outputs>(features.size)
    for ((length, members) in batches(lengths, shapes, batchSize)) {
        val given = engine.run(pad(members.map { features[it] }, inputs, length))
        for ((row, index) in members.withIndex()) {
            val tokens = tokensOf(features[index], graph)
            found[index] = graph.outputs.associate { spec ->
                spec.name to given.getValue(spec.name).row(row, if (spec.perToken) tokens else null)
            }
        }
    }
    return found.requireNoNulls().asList()
}

/** How many tokens a text has, which may be none. */
internal fun tokensOf(features: Features, graph: GraphSpec): Int =
    features.getValue(graph.inputs[0].name).size / graph.inputs[0].perLength

/** Engines trust ids: some read outside the table, one aborts the process. So every id is checked here. */
internal fun checkFeatures(features: Features, inputs: List<InputSpec>, maxLength: Int) {
    for (spec in inputs) {
        val ids = features[spec.name]
            ?: throw BundleException("the featurizer gave no list of ids for the input ${repr(spec.name)}")
        val most = spec.perLength.toLong() * maxLength
        if (ids.size > most) {
            throw BundleException("${ids.size} ids for ${repr(spec.name)} are more than the $most the graph takes")
        }
        ids.firstOrNull { it < 0 || it >= spec.rows }?.let {
            throw BundleException("the id $it of ${repr(spec.name)} is outside its table of ${spec.rows} rows")
        }
    }
}

/** The length to run a text of `length` at: its bucket, or itself but not below the graph's minimum. */
internal fun padLength(length: Int, shapes: Shapes): Int =
    shapes.lengths?.first { it >= length } ?: maxOf(length, shapes.minLength)

/** (length, indices) of each run: short texts first, at most `batchSize` each, buckets never mixed. */
internal fun batches(lengths: List<Int>, shapes: Shapes, batchSize: Int): List<Pair<Int, List<Int>>> {
    val size = if (shapes.batch == 1) 1 else batchSize
    val found = ArrayList<Pair<Int, MutableList<Int>>>()
    for (index in lengths.indices.sortedBy { lengths[it] }) {
        val length = lengths[index]
        val last = found.lastOrNull()
        if (last != null && last.second.size < size && (shapes.lengths == null || last.first == length)) {
            last.second += index
            found[found.lastIndex] = length to last.second
        } else {
            found += length to mutableListOf(index)
        }
    }
    return found
}

private fun pad(features: List<Features>, inputs: List<InputSpec>, length: Int): Batch {
    val ids = inputs.associate { spec ->
        val width = spec.perLength * length
        val all = IntArray(features.size * width)
        for ((row, item) in features.withIndex()) item.getValue(spec.name).copyInto(all, row * width)
        spec.name to all
    }
    return Batch(features.size, length, ids)
}
