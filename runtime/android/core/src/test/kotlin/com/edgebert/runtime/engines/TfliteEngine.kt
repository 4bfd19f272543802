package com.edgebert.runtime.engines

import com.edgebert.runtime.GraphSpec
import java.nio.ByteBuffer

/** Plays the adapter of this name on a phone where LiteRT's native library does not load. */
@Suppress("UNUSED_PARAMETER")
class TfliteEngine(model: ByteBuffer, graph: GraphSpec, threads: Int) {
    init {
        throw reason
    }

    companion object {
        lateinit var reason: LinkageError
    }
}
