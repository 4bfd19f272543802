package com.edgebert.demo

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/**
 * Hands the last shared profile to the apps that the person chose.
 *
 * It is not exported: only who was granted this one URI may read it, and what is shared there later. Nothing can be written.
 */
class ProfileProvider : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("$uri can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(uri: Uri, columns: Array<String>?, where: String?, values: Array<String>?, order: String?): Cursor {
        val file = file(uri)
        val known = mapOf(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val wanted = columns?.filter { it in known }?.toTypedArray() ?: known.keys.toTypedArray()
        return MatrixCursor(wanted).apply { addRow(wanted.map { known[it] }) }
    }

    override fun getType(uri: Uri): String = MIME

    override fun insert(uri: Uri, values: ContentValues?): Uri? = throw UnsupportedOperationException()

    override fun delete(uri: Uri, where: String?, values: Array<String>?): Int = throw UnsupportedOperationException()

    override fun update(uri: Uri, values: ContentValues?, where: String?, arguments: Array<String>?): Int =
        throw UnsupportedOperationException()

    private fun file(uri: Uri): File {
        val file = context?.let(::shared)
        if (uri != URI || file == null || !file.isFile) throw FileNotFoundException("there is nothing at $uri")
        return file
    }

    companion object {
        const val MIME = "application/json"
        private const val NAME = "edgebert-profile.json"
        val URI: Uri = Uri.parse("content://com.edgebert.demo.profiles/$NAME")

        private fun shared(context: Context): File = File(context.cacheDir, NAME)

        /** Keeps [json] for sharing until the next one, and gives its URI. */
        fun publish(context: Context, json: String): Uri {
            writeWhole(shared(context), json)
            return URI
        }
    }
}
