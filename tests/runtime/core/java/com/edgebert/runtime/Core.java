package com.edgebert.runtime;

import java.nio.ByteBuffer;

/** The native methods as Kotlin will declare them; runtime/core/jni/edgebert_jni.c says what each does. */
final class Core {
    private Core() {}

    static native int apiVersion();
    static native int features();
    static native String message(int status);
    static native int softmax(float[] logits);
    static native int bundleFind(ByteBuffer archive, long offset, long length, byte[] name, long[] place);

    static native long modelSize();
    static native int modelOpen(ByteBuffer memory, ByteBuffer file, long offset, long length, int features);
    static native int modelClasses(ByteBuffer memory);
    static native int modelTakesPairs(ByteBuffer memory);
    static native long modelScratch(ByteBuffer memory);
    static native int logits(ByteBuffer memory, byte[] text, byte[] pair, float[] out, ByteBuffer scratch);

    static native long wordpieceSize(ByteBuffer file, long offset, long length);
    static native int wordpieceMake(ByteBuffer memory, ByteBuffer file, long offset, long length, int flags);
    static native long wordpieceIds(ByteBuffer memory, byte[] text, byte[] pair, int[] ids, int[] types, int[] scratch);
    static native long wordpieceTokens(ByteBuffer memory, byte[] text, int unit, int[] out);

    static native long ngramsSize();
    static native int ngramsOpen(ByteBuffer memory, ByteBuffer file, long offset, long length);
    static native int ngramsChannels(ByteBuffer memory);
    static native long ngramsRows(ByteBuffer memory, int channel);
    static native long ngramsIds(ByteBuffer memory, int channel, byte[] text, int[] ids);
    static native long ngramsWords(ByteBuffer memory, int words, int characters, byte[] text, int unit, int[] out);
}
