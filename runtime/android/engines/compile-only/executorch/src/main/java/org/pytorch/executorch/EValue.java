package org.pytorch.executorch;

/** Signatures to compile against. */
public class EValue {
    public static EValue from(Tensor tensor) {
        throw new UnsupportedOperationException();
    }

    public Tensor toTensor() {
        throw new UnsupportedOperationException();
    }
}
