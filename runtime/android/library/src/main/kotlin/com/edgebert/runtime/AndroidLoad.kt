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
import java.io.IOException

/**
 * Loads a bundle from the app's assets, in place: nothing is copied out of the APK.
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
 * Loads a bundle that another app gives (Files, say): a content URI, or a file URI. It is read in place where the other
 * app gives a file; what is only a stream is copied into the app's cache first, and removed when the model is closed.
 *
 * @throws BundleException it cannot be opened. All else is as `EdgeBert.load(file)` throws it.
 */
@JvmOverloads
public fun EdgeBert.Companion.load(context: Context, uri: Uri, options: LoadOptions = LoadOptions()): EdgeBert {
    options.checkThread()
    try {
        val given = context.contentResolver.openAssetFileDescriptor(uri, "r")
            ?: throw BundleException("cannot open $uri: the app that owns it is gone. Choose the file again.")
        val file = if (isFile(given)) given else copied(context, given)
        return load(open(file, uri.toString(), options), options)
    } catch (error: IOException) {
        throw BundleException("cannot read $uri: ${error.message}", error)
    } catch (error: SecurityException) {
        throw BundleException("cannot read $uri: the permission for it is gone. Choose the file again.", error)
    }
}

private fun open(descriptor: AssetFileDescriptor, name: String, options: LoadOptions): Bundle {
    val channel = FileInputStream(descriptor.fileDescriptor).channel
    val given = descriptor.declaredLength
    val start = descriptor.startOffset
    val length = if (given == AssetFileDescriptor.UNKNOWN_LENGTH) channel.size() - start else given
    return Bundle.open(channel, start, length, name, options.publicKey, Closeable { descriptor.close() })
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

/** Whether it can be mapped: a pipe or a socket has no size. */
private fun isFile(descriptor: AssetFileDescriptor): Boolean = descriptor.parcelFileDescriptor.statSize >= 0

/** The bytes of a stream in a file of the app's cache that has lost its name, so that it goes with its descriptor. */
private fun copied(context: Context, stream: AssetFileDescriptor): AssetFileDescriptor {
    val file = File.createTempFile("edgebert-", ".edgebert", context.cacheDir)
    try {
        stream.use { given -> given.createInputStream().use { from -> file.outputStream().use { from.copyTo(it) } } }
        val opened = ParcelFileDescriptor.open(file, ParcelFileDescriptor.MODE_READ_ONLY)
        return AssetFileDescriptor(opened, 0, file.length())
    } finally {
        file.delete()
    }
}
