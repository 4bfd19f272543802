package android.os

/** Plays Android's class of this name, which the library asks by reflection what the main thread is. */
class Looper {
    companion object {
        private val main = Looper()

        /** The thread that plays the main one. */
        @Volatile
        var mainThread: Thread? = null

        @JvmStatic
        fun myLooper(): Looper? = if (Thread.currentThread() === mainThread) main else null

        @JvmStatic
        fun getMainLooper(): Looper = main
    }
}
