package android.content

import android.content.res.AssetFileDescriptor
import android.net.Uri

/** Plays Android's class of this name, in front of one provider. */
class ContentResolver(private val provider: () -> AssetFileDescriptor?) {
    @Suppress("UNUSED_PARAMETER")
    fun openAssetFileDescriptor(uri: Uri, mode: String): AssetFileDescriptor? = provider()
}
