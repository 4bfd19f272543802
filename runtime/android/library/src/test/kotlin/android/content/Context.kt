package android.content

import java.io.File

/** Plays Android's class as far as loading a URI calls it, as its neighbours do; the real one needs a phone. */
class Context(val contentResolver: ContentResolver, val cacheDir: File)
