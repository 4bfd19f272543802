package org.pytorch.executorch

/** Plays ExecuTorch's tensor. */
open class Tensor(private val values: FloatArray, private val shape: LongArray) {
    fun shape(): LongArray = shape

    open fun getDataAsFloatArray(): FloatArray = values

    companion object {
        @JvmStatic
        fun fromBlob(data: LongArray, shape: LongArray): Tensor = Tensor(FloatArray(data.size), shape)
    }
}

/** Plays ExecuTorch's value. */
class EValue(private val tensor: Tensor) {
    fun toTensor(): Tensor = tensor

    companion object {
        @JvmStatic
        fun from(tensor: Tensor): EValue = EValue(tensor)
    }
}
