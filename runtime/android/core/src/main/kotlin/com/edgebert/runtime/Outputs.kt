package com.edgebert.runtime

/**
 * Numbers and their shape.
 *
 * @property shape its dimensions: of what an engine gives [rows, width], or [rows, length, width] where an output has
 *   a row for each token; of one text [width] or [tokens, width].
 * @property values all numbers, the last dimension together.
 */
public class Tensor(public val shape: IntArray, public val values: FloatArray) {
    /** Row `index` of the first dimension, of its own first dimension only `keep` rows, where that is given. */
    internal fun row(index: Int, keep: Int? = null): Tensor {
        val inner = shape.copyOfRange(1, shape.size)
        val stride = inner.fold(1) { all, one -> all * one }
        if (keep != null) inner[0] = keep
        val size = inner.fold(1) { all, one -> all * one }
        return Tensor(inner, values.copyOfRange(index * stride, index * stride + size))
    }
}

/** What a graph answers to one text, by output name: [width] or [tokens, width], cut to the text's own tokens. */
public typealias Outputs = Map<String, Tensor>

/**
 * One output of a graph.
 *
 * @property name of the tensor.
 * @property width how many numbers a row has.
 * @property perToken whether it has a row for each token in place of one for the text.
 * @property labels what the columns are called; empty where they have no names.
 */
public data class OutputSpec(
    public val name: String,
    public val width: Int,
    public val perToken: Boolean = false,
    public val labels: List<String> = emptyList(),
)

/**
 * What goes into a graph and what comes out.
 *
 * @property inputs in the order of the graph's arguments.
 * @property outputs in the alphabetical order of their names.
 * @property shapes the batches and lengths it takes.
 */
public class GraphSpec(
    public val inputs: List<InputSpec>,
    public val outputs: List<OutputSpec>,
    public val shapes: Shapes,
)
