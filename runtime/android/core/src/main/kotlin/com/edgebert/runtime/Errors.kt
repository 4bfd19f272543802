package com.edgebert.runtime

/**
 * Something that a person can understand and mend: one sentence with what happened, the file or value it concerns, and
 * what to do. The wording is that of EdgeBERT's Python runtime wherever both can fail in the same way.
 */
public open class EdgeBertException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    RuntimeException(message, cause) {
    /** The name of the error's kind, the same in every language, such as "BundleError"; stands in a profile's JSON. */
    public open val kind: String get() = "EdgeBertError"
}

/** A wrong option, name or combination of options. */
public class UsageException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    EdgeBertException(message, cause) {
    override val kind: String get() = "UsageError"
}

/** A text that a model cannot take: a pair where it takes one text, the reverse, or half of a surrogate pair. */
public class DataException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    EdgeBertException(message, cause) {
    override val kind: String get() = "DataError"
}

/** A bundle that is damaged, unsafe, wrongly signed or made for another runtime. */
public class BundleException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    EdgeBertException(message, cause) {
    override val kind: String get() = "BundleError"
}

/** The engine of a bundle is not in the app; the message holds the Gradle line that adds it. */
public class MissingEngineException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    EdgeBertException(message, cause) {
    override val kind: String get() = "MissingExtraError"
}

/** A call on Android's main thread, which would hold up the screen. See [LoadOptions.allowMainThread]. */
public class MainThreadException(message: String) : EdgeBertException(message) {
    override val kind: String get() = "UsageError"
}
