package com.edgebert.demo

import android.net.Uri
import android.os.Build
import android.os.Bundle

/** The URIs under `key`, none where there are none. */
fun Bundle.documents(key: String): List<Uri> =
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) typed(key) else untyped(key)

@NewerApi
private fun Bundle.typed(key: String): List<Uri> = getParcelableArrayList(key, Uri::class.java).orEmpty()

@Suppress("DEPRECATION") // the only way before Android 13
private fun Bundle.untyped(key: String): List<Uri> = getParcelableArrayList<Uri>(key).orEmpty()
