@file:JvmName("AndroidLoad")

package com.edgebert.runtime

import android.content.Context
import android.content.res.AssetFileDescriptor
import android.net.Uri
import android.os.ParcelFileDescriptor
import java.io.Closeable
import java.io.File
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.FileOutputStream
import java.io.IOException

/**
 * Loads a bundle from the app's assets, in place: no file is copied out of the APK. (Where the build tools have put it
 * at an offset that is no multiple of 8 bytes, what the engine reads is copied into memory.)
 *
 * @param asset its path below assets/, such as "sentiment.edgebert". It must be stored uncompressed.
 * @throws BundleException there is no such asset, or it is compressed. All else is as `EdgeBert.load(file)` throws it.
 */
@JvmOverloads
public fun EdgeBert.Companion.load(context: Context, asset: String, options: LoadOptions = LoadOptions()): EdgeBert {
    options.checkThread()
    val descriptor = try {
        context.assets.openFd(asset)
    } catch (error: FileNotFoundException) {
        throw BundleException(notOpened(context, asset), error)
    } catch (error: IOException) {
        throw BundleException("cannot read asset $asset: ${error.message}", error)
    }
    return load(open(descriptor, "asset $asset", options), options)
}

/**
 * Loads a bundle that another app gives (Files, say): a content URI, or a file URI. It is copied into the app's cache
 * first, for another app may change its file later; the copy has no name, and is gone when the model is closed or the
 * app ends. A file of the app itself is read in place by `EdgeBert.load(file)`.
 *
 * @throws BundleException it cannot be opened, or the other app fails. All else is as `EdgeBert.load(file)` throws it.
 */
@JvmOverloads
public fun EdgeBert.Companion.load(context: Context, uri: Uri, options: LoadOptions = LoadOptions()): EdgeBert {
    options.checkThread()
    val copy = try {
        copied(context, uri)
    } catch (error: IOException) {
        throw BundleException("cannot read $uri: ${error.message}", error)
    } catch (error: SecurityException) {
        throw BundleException("cannot read $uri: the permission for it is gone. Choose the file again.", error)
    } catch (error: RuntimeException) { // what the other app throws arrives here
        throw BundleException("cannot read $uri: the app that owns it failed: ${error.message ?: error}", error)
    }
    return load(open(copy, uri.toString(), options), options)
}

private fun open(descriptor: AssetFileDescriptor, name: String, options: LoadOptions): Bundle {
    val channel = FileInputStream(descriptor.fileDescriptor).channel
    val owner = Closeable { descriptor.close() }
    return Bundle.open(channel, descriptor.startOffset, descriptor.length, name, options.publicKey, owner)
}

private fun notOpened(context: Context, asset: String): String {
    val there = try {
        context.assets.open(asset).close()
        true
    } catch (error: IOException) {
        false
    }
    return if (there) {
        "asset $asset is compressed, so it cannot be read in place; add to the app's Gradle file: " +
            "androidResources { noCompress += \"edgebert\" }"
    } else {
        "asset $asset: no such file. Check the path of the bundle."
    }
}

/** The bytes of a URI in a file of the app's cache that has lost its name before the first byte is written. */
private fun copied(context: Context, uri: Uri): AssetFileDescriptor {
    val given = context.contentResolver.openAssetFileDescriptor(uri, "r")
        ?: throw FileNotFoundException("the app that owns it is gone. Choose the file again.")
    given.use {
        val copy = unnamed(context)
        try {
            val size = given.createInputStream().use { it.copyTo(FileOutputStream(copy.fileDescriptor)) }
            return AssetFileDescriptor(copy, 0, size)
        } catch (error: Throwable) {
            copy.close()
            throw error
        }
    }
}

/** A file that goes with its descriptor. */
private fun unnamed(context: Context): ParcelFileDescriptor {
    val file = File.createTempFile("edgebert-", ".edgebert", context.cacheDir)
    try {
        return ParcelFileDescriptor.open(file, ParcelFileDescriptor.MODE_READ_WRITE)
    } finally {
        file.delete()
    }
}
