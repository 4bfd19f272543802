package org.pytorch.executorch;

/** Signatures to compile against. */
public class Module {
    public static final int LOAD_MODE_MMAP = 1;

    public static Module load(String path, int mode, int threads) {
        throw new UnsupportedOperationException();
    }

    public EValue[] execute(String method, EValue... inputs) {
        throw new UnsupportedOperationException();
    }

    public void destroy() {
        throw new UnsupportedOperationException();
    }
}
