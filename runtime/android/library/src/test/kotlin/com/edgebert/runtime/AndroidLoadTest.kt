package com.edgebert.runtime

import android.content.ContentResolver
import android.content.Context
import android.content.res.AssetFileDescriptor
import android.net.Uri
import android.os.ParcelFileDescriptor
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.file.Files
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** Bundles that another app gives. Android's classes are played: see the folder android. */
class AndroidLoadTest {
    private val folder = Files.createTempDirectory("edgebert").toFile()
    private val cache = File(folder, "cache").apply { mkdir() }
    private val uri = Uri("content://files/7")
    private val options = LoadOptions(allowMainThread = true)
    private val bundle = File(System.getProperty("edgebert.vectors"), "native").listFiles()!!.single()
    private val theirs = bundle.copyTo(File(folder, "theirs.edgebert"))

    @AfterEach
    fun remove() {
        folder.deleteRecursively()
    }

    @Test
    fun `another app's file is copied, so that it may change or go`() {
        val given = descriptor()
        EdgeBert.load(context { given }, uri, options).use { model ->
            assertTrue(given.closed)
            assertEquals(emptyList<File>(), cache.listFiles()!!.toList())
            val before = model.classify("a gem of a film")
            RandomAccessFile(theirs, "rw").use { it.setLength(0) }
            assertEquals(before.probability, model.classify("a gem of a film").probability)
            assertTrue(model.selfTest().passed)
            assertEquals("content://files/7", model.bundle.path)
        }
    }

    @Test
    fun `what the other app throws becomes a sentence`() {
        for (error in listOf(
            IllegalArgumentException("no such row"), IllegalStateException("no such row"),
            NullPointerException("no such row"), UnsupportedOperationException("no such row"),
        )) {
            assertEquals("cannot read $uri: the app that owns it failed: no such row", refusal { throw error })
        }
        assertEquals("cannot read $uri: no such file", refusal { throw IOException("no such file") })
        assertEquals("cannot read $uri: the app that owns it is gone. Choose the file again.", refusal { null })
        val forbidden = "cannot read $uri: the permission for it is gone. Choose the file again."
        assertEquals(forbidden, refusal { throw SecurityException("denied") })
    }

    @Test
    fun `nothing stays open or in the cache when copying fails`() {
        val given = object : AssetFileDescriptor(ParcelFileDescriptor.open(theirs, READ), 0, 9) {
            override fun createInputStream(): FileInputStream = throw IllegalStateException("the pipe broke")
        }
        assertEquals("cannot read $uri: the app that owns it failed: the pipe broke", refusal { given })
        assertTrue(given.closed)
        assertEquals(emptyList<File>(), cache.listFiles()!!.toList())
    }

    @Test
    fun `a file that is no bundle is refused under the name of its URI`() {
        theirs.writeText("text,label\n")
        assertTrue(refusal { descriptor() }.startsWith("$uri: it is not a bundle"))
    }

    private fun descriptor() = AssetFileDescriptor(ParcelFileDescriptor.open(theirs, READ), 0, theirs.length())

    private fun context(provider: () -> AssetFileDescriptor?) = Context(ContentResolver(provider), cache)

    private fun refusal(provider: () -> AssetFileDescriptor?): String =
        assertThrows<BundleException> { EdgeBert.load(context(provider), uri, options) }.message!!

    private companion object {
        const val READ = ParcelFileDescriptor.MODE_READ_ONLY
    }
}
