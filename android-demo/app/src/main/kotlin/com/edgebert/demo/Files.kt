package com.edgebert.demo

import java.io.File
import java.io.IOException

/**
 * Writes a file so that nobody ever sees a part of it: under another name first, then renamed.
 *
 * @throws IOException it cannot be written or renamed.
 */
fun writeWhole(file: File, text: String) {
    val part = File(file.parentFile, file.name + ".part")
    try {
        part.outputStream().use {
            it.write(text.toByteArray())
            it.fd.sync()
        }
        if (!part.renameTo(file)) throw IOException("$part cannot be renamed to $file")
    } finally {
        part.delete()
    }
}
