package com.edgebert.runtime

import java.lang.reflect.Method
import java.security.PublicKey

/**
 * How a model is loaded.
 *
 * @property engine "native", "onnx", "tflite" or "executorch"; null takes the one for the bundle's format.
 * @property threads used inside one run, 1 to 256 (for ExecuTorch by the whole process).
 * @property publicKey an EC key on P-256 that the bundle must be signed with; null for an unsigned bundle.
 * @property allowMainThread whether calls on Android's main thread are wanted. They hold up the screen.
 * @property threshold the probability below which an answer is not [Answer.sure], 0 to 1; null takes the bundle's own.
 *   For tasks that give probabilities.
 */
public data class LoadOptions @JvmOverloads constructor(
    public val engine: String? = null,
    public val threads: Int = 1,
    public val publicKey: PublicKey? = null,
    public val allowMainThread: Boolean = false,
    public val threshold: Double? = null,
) {
    /** Refuses Android's main thread, unless [allowMainThread]: what every call of a model begins with.
     *
     * @throws MainThreadException on the main thread.
     */
    public fun checkThread() {
        if (!allowMainThread && MainThread.isThis()) {
            throw MainThreadException(
                "this would hold up the screen: call it on another thread, " +
                    "or load with LoadOptions(allowMainThread = true)"
            )
        }
    }
}

/** Android's main thread, asked for by reflection: this module knows no Android, and a desktop has none. */
private object MainThread {
    private val myLooper: Method?
    private val mainLooper: Method?

    init {
        val looper = try {
            Class.forName("android.os.Looper")
        } catch (error: ClassNotFoundException) {
            null
        }
        myLooper = looper?.getMethod("myLooper")
        mainLooper = looper?.getMethod("getMainLooper")
    }

    fun isThis(): Boolean {
        val mine = myLooper?.invoke(null) ?: return false
        return mine === mainLooper?.invoke(null)
    }
}
