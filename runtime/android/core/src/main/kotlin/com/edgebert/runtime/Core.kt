package com.edgebert.runtime

import java.nio.ByteBuffer

/** The C core's entry points: runtime/core/jni/edgebert_jni.c says what each does. The names must stay as they are. */
internal object Core {
    @JvmStatic external fun apiVersion(): Int
    @JvmStatic external fun features(): Int
    @JvmStatic external fun message(status: Int): String

    @JvmStatic external fun modelSize(): Long
    @JvmStatic external fun modelOpen(
        memory: ByteBuffer,
        file: ByteBuffer,
        offset: Long,
        length: Long,
        features: Int,
    ): Int
    @JvmStatic external fun modelClasses(memory: ByteBuffer): Int
    @JvmStatic external fun modelTakesPairs(memory: ByteBuffer): Int
    @JvmStatic external fun modelScratch(memory: ByteBuffer): Long
    @JvmStatic external fun logits(
        memory: ByteBuffer,
        text: ByteArray,
        pair: ByteArray?,
        out: FloatArray,
        scratch: ByteBuffer,
    ): Int

    @JvmStatic external fun wordpieceSize(file: ByteBuffer, offset: Long, length: Long): Long
    @JvmStatic external fun wordpieceMake(
        memory: ByteBuffer,
        file: ByteBuffer,
        offset: Long,
        length: Long,
        flags: Int,
    ): Int
    @JvmStatic external fun wordpieceIds(
        memory: ByteBuffer,
        text: ByteArray,
        pair: ByteArray?,
        ids: IntArray,
        types: IntArray?,
        scratch: IntArray,
    ): Long
    @JvmStatic external fun wordpieceTokens(memory: ByteBuffer, text: ByteArray, unit: Int, out: IntArray): Long

    @JvmStatic external fun ngramsSize(): Long
    @JvmStatic external fun ngramsOpen(memory: ByteBuffer, file: ByteBuffer, offset: Long, length: Long): Int
    @JvmStatic external fun ngramsChannels(memory: ByteBuffer): Int
    @JvmStatic external fun ngramsRows(memory: ByteBuffer, channel: Int): Long
    @JvmStatic external fun ngramsIds(memory: ByteBuffer, channel: Int, text: ByteArray, ids: IntArray): Long
    @JvmStatic external fun ngramsWords(
        memory: ByteBuffer,
        words: Int,
        characters: Int,
        text: ByteArray,
        unit: Int,
        out: IntArray,
    ): Long
}

/** Loads libedgebert.so once; every user of [Core] comes through here. */
internal object CoreLibrary {
    private const val API_VERSION = 2

    private val problem: String? = try {
        System.loadLibrary("edgebert")
        val version = Core.apiVersion()
        if (version == API_VERSION) null else "libedgebert.so has the API $version, not $API_VERSION"
    } catch (error: UnsatisfiedLinkError) {
        "libedgebert.so cannot be loaded: ${error.message}"
    }

    /** @throws EdgeBertException the native library is missing, or of another version. */
    fun load() {
        problem?.let {
            throw EdgeBertException("$it. Add com.edgebert:runtime-android ${EdgeBert.VERSION} to the app, unchanged.")
        }
    }
}

/** The core's sentence when `status` is an error. */
internal fun coreError(status: Long): String? = if (status < 0) Core.message(status.toInt()) else null
