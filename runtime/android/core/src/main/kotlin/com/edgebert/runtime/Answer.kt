package com.edgebert.runtime

/** The answer to one text, whatever the task. Each task has its own kind, in com.edgebert.runtime.decode. */
public interface Answer {
    /** Whether its probability reaches the threshold ([LoadOptions.threshold], or the bundle's); true without one. */
    public val sure: Boolean

    /** The answer as plain JSON: maps of String to Boolean, Int, Double, String, List and Map; the same as Python's. */
    public fun toJson(): Map<String, Any?>

    /** One line for a screen. */
    public fun summary(): String
}
