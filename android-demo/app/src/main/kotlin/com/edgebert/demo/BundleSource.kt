package com.edgebert.demo

import android.content.Context
import android.net.Uri
import android.os.Build
import android.provider.OpenableColumns
import com.edgebert.runtime.EdgeBert
import com.edgebert.runtime.LoadOptions
import com.edgebert.runtime.load
import java.io.File

/** Where a bundle is. Two are equal when they are the same place. */
sealed class BundleSource {
    /** What a person sees. */
    abstract val name: String

    /** Opens, verifies and loads it; throws what `EdgeBert.load` throws. Takes long: not for the main thread. */
    abstract fun load(context: Context, options: LoadOptions = LoadOptions()): EdgeBert

    override fun toString(): String = name

    /** In the APK, mapped where it lies. */
    data class Asset(override val name: String) : BundleSource() {
        override fun load(context: Context, options: LoadOptions): EdgeBert = EdgeBert.load(context, name, options)
        override fun toString(): String = name
    }

    /** In the app's folder on the shared storage, where a computer pushes it. */
    data class InFolder(val file: File) : BundleSource() {
        override val name: String get() = file.name
        override fun load(context: Context, options: LoadOptions): EdgeBert =
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) EdgeBert.load(file, options)
            else EdgeBert.load(context, Uri.fromFile(file), options) // other apps may change it there: a copy is mapped
        override fun toString(): String = name
    }

    /** What the person opened from Files, by the name that the document's own app gives it. */
    data class Document(val uri: Uri, override val name: String) : BundleSource() {
        override fun load(context: Context, options: LoadOptions): EdgeBert = EdgeBert.load(context, uri, options)
        override fun toString(): String = name
    }

    companion object {
        private const val SUFFIX = ".edgebert"

        /** All that can be chosen: the app's own, those that were pushed, then the `documents`. */
        fun all(context: Context, documents: List<Document>): List<BundleSource> =
            assets(context) + pushed(context) + documents

        /** Asks the document's app for its name, which may take long: not for the main thread. */
        fun document(context: Context, uri: Uri): Document {
            val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
            val found = try {
                context.contentResolver.query(uri, columns, null, null, null)?.use {
                    if (it.moveToFirst()) it.getString(0) else null
                }
            } catch (error: RuntimeException) { // whatever another app's provider throws
                null
            }
            return Document(uri, found ?: uri.lastPathSegment ?: uri.toString())
        }

        /** The folder that a computer pushes bundles to; null while the shared storage is away. */
        fun folder(context: Context): File? = context.getExternalFilesDir(null)

        private fun assets(context: Context): List<BundleSource> =
            context.assets.list("").orEmpty().filter { it.endsWith(SUFFIX) }.sorted().map { Asset(it) }

        private fun pushed(context: Context): List<BundleSource> =
            folder(context)?.listFiles().orEmpty().filter { it.isFile && it.name.endsWith(SUFFIX) }.sorted()
                .map { InFolder(it) }
    }
}
