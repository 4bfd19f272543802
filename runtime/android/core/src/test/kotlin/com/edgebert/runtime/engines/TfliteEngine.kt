package com.edgebert.runtime.engines

import com.edgebert.runtime.InputSpec
import com.edgebert.runtime.Shapes
import java.nio.ByteBuffer

/** Plays the adapter of this name on a phone where LiteRT's native library does not load. */
@Suppress("UNUSED_PARAMETER")
class TfliteEngine(model: ByteBuffer, inputs: List<InputSpec>, shapes: Shapes, threads: Int) {
    init {
        throw reason
    }

    companion object {
        lateinit var reason: LinkageError
    }
}
