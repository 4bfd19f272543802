package org.pytorch.executorch;

/** Signatures to compile against. */
public abstract class Tensor {
    public static Tensor fromBlob(long[] data, long[] shape) {
        throw new UnsupportedOperationException();
    }

    public long[] shape() {
        throw new UnsupportedOperationException();
    }

    public float[] getDataAsFloatArray() {
        throw new UnsupportedOperationException();
    }
}
