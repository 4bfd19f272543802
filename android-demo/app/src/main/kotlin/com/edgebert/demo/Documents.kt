package com.edgebert.demo

import android.net.Uri
import android.os.Build
import android.os.Bundle

private const val URIS = "documents"
private const val NAMES = "names"

/** Keeps documents, with the names that were asked for once. */
fun Bundle.putDocuments(documents: List<BundleSource.Document>) {
    putParcelableArrayList(URIS, ArrayList(documents.map { it.uri }))
    putStringArrayList(NAMES, ArrayList(documents.map { it.name }))
}

/** The documents that [putDocuments] has kept, none where there are none. */
fun Bundle.documents(): List<BundleSource.Document> {
    val uris = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) typed() else untyped()
    return uris.zip(getStringArrayList(NAMES).orEmpty(), BundleSource::Document)
}

@NewerApi
private fun Bundle.typed(): List<Uri> = getParcelableArrayList(URIS, Uri::class.java).orEmpty()

@Suppress("DEPRECATION") // the only way before Android 13
private fun Bundle.untyped(): List<Uri> = getParcelableArrayList<Uri>(URIS).orEmpty()
