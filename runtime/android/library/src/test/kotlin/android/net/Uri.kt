package android.net

/** Plays Android's class of this name. */
class Uri(private val text: String) {
    override fun toString(): String = text
}
