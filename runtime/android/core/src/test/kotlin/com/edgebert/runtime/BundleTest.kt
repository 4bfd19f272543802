package com.edgebert.runtime

import java.io.File
import java.io.RandomAccessFile
import java.nio.channels.FileChannel
import java.nio.file.Files
import java.nio.file.StandardOpenOption
import java.security.KeyFactory
import java.security.PublicKey
import java.security.spec.X509EncodedKeySpec
import java.util.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** Bundles: what Python refuses is refused with the same sentence, and no byte is unguarded. */
class BundleTest {
    private val native = Vectors.bundle("native").file
    private val small = File(Vectors.folder, "damaged/small.edgebert")

    @Test
    fun `the sentences of Python`() {
        val differ = ArrayList<String>()
        for (known in Vectors.maps("damaged")) {
            val expected = known["error"] as String
            val found = refusal(File(known["file"] as String))
            // How to upgrade is another thing on a phone.
            val beginning = expected.substringBefore("upgrade with")
            val same = if (beginning == expected) found == expected else found.startsWith(beginning)
            if (!same) differ += "Python: $expected\nKotlin: $found"
        }
        assertTrue(differ.isEmpty(), differ.joinToString("\n\n"))
    }

    @Test
    fun `no byte is unguarded`() {
        val copy = Files.createTempFile("edgebert", ".edgebert").toFile()
        small.copyTo(copy, overwrite = true)
        val random = Random(1)
        RandomAccessFile(copy, "rw").use { file ->
            for (at in 0 until small.length() step 5) {
                file.seek(at)
                val byte = file.read()
                file.seek(at)
                file.write(byte xor (1 shl random.nextInt(8)))
                assertFalse(refusal(copy).isEmpty(), "byte $at")
                file.seek(at)
                file.write(byte)
            }
        }
        assertEquals("", refusal(copy))
        copy.delete()
    }

    @Test
    fun `a bundle inside another file is read in place`() {
        val padding = 3 * 16384L
        val outer = Files.createTempFile("edgebert", ".apk")
        Files.write(outer, ByteArray(padding.toInt()) + native.readBytes() + ByteArray(999))
        val channel = FileChannel.open(outer, StandardOpenOption.READ)
        Bundle.open(channel, padding, native.length(), "asset x").use { bundle ->
            Bundle.open(native).use { plain ->
                assertEquals(plain.names, bundle.names)
                val mapped = bundle.map(bundle.modelName)
                assertTrue(mapped.isDirect && mapped.isReadOnly)
                assertEquals(plain.map(plain.modelName), mapped)
                assertEquals("asset x", bundle.path)
            }
            EdgeBert.load(bundle).use { assertTrue(it.selfTest().passed) }
        }
        val error = assertThrows<BundleException> {
            Bundle.open(FileChannel.open(outer, StandardOpenOption.READ), padding, native.length() - 1, "asset x")
        }
        assertTrue(error.message!!.startsWith("asset x: "))
        Files.delete(outer)
    }

    @Test
    fun `a bundle anywhere in another file gives the same answers`() {
        for (name in listOf("native", "native-pair", "ngram-onnx", "onnx")) {
            val known = Vectors.bundle(name)
            for (padding in listOf(4, 1, 12, 8)) {
                val outer = Files.createTempFile("edgebert", ".apk")
                Files.write(outer, ByteArray(padding) + known.file.readBytes() + ByteArray(5))
                val channel = FileChannel.open(outer, StandardOpenOption.READ)
                val bundle = Bundle.open(channel, padding.toLong(), known.file.length(), "asset x")
                val mapped = bundle.map(bundle.modelName)
                assertTrue(mapped.isDirect && mapped.isReadOnly && mapped.position() == 0)
                Bundle.open(known.file).use { assertEquals(it.map(it.modelName), mapped) }
                if (bundle.manifest.format == "native") EdgeBert.load(bundle).use { model ->
                    val found = model.logits(known.texts).map { row -> row.map { it.toDouble() } }
                    assertEquals(known.logits, found, "$name at $padding")
                } else bundle.use {
                    val featurizer = loadFeaturizer(bundle.manifest.featurizer, bundle::map)
                    val found = known.texts.map { featurizer.features(it) }
                    val ids = found.map { item -> item.mapValues { it.value.toList() } }
                    assertEquals(known.ids, ids, "$name at $padding")
                }
                Files.delete(outer)
            }
        }
    }

    @Test
    fun `signatures`() {
        val signed = Vectors.map("signed")
        val folder = File(signed["folder"] as String)
        val (key, other) = listOf("key", "other").map { publicKey(File(folder, "$it.der")) }
        Bundle.open(File(folder, "signed.edgebert"), key).use { assertEquals(3, it.manifest.labels.size) }
        val options = LoadOptions(publicKey = key)
        EdgeBert.load(File(folder, "signed.edgebert"), options).use { assertTrue(it.selfTest().passed) }
        val wrong = "its signature is not of this manifest by the public key given"
        for ((name, given, expected) in listOf(
            Triple("signed", null, "it is signed: give the public key, so that the signature is checked"),
            Triple("signed", other, wrong),
            Triple("nonsense", key, wrong),
            Triple("another", key, wrong),
        )) {
            val file = File(folder, "$name.edgebert")
            assertEquals("$file: $expected", assertThrows<BundleException> { Bundle.open(file, given) }.message)
        }
        val unsigned = assertThrows<BundleException> { Bundle.open(File(signed["unsigned"] as String), key) }
        assertTrue(unsigned.message!!.endsWith("it is not signed, but a public key was given to check it with"))
        val rsa = java.security.KeyPairGenerator.getInstance("RSA").generateKeyPair().public
        assertThrows<UsageException> { Bundle.open(File(folder, "signed.edgebert"), rsa) }
    }

    @Test
    fun `a closed bundle says so, and its manifest stays`() {
        val bundle = Bundle.open(native)
        bundle.close()
        bundle.close()
        assertEquals(
            "$native: the bundle is closed. Open it again.", assertThrows<BundleException> { bundle.golden() }.message,
        )
        assertEquals("tiny-native", bundle.manifest.name)
    }

    private fun publicKey(file: File): PublicKey =
        KeyFactory.getInstance("EC").generatePublic(X509EncodedKeySpec(file.readBytes()))

    private fun refusal(file: File): String = try {
        Bundle.open(file).use { it.golden() }
        ""
    } catch (error: BundleException) {
        error.message!!
    }
}
