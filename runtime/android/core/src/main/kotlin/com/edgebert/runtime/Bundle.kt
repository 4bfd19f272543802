package com.edgebert.runtime

import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.security.GeneralSecurityException
import java.security.MessageDigest
import java.security.PublicKey
import java.security.Signature
import java.security.interfaces.ECPublicKey

/**
 * An open, verified bundle: the one file that crosses from the workstation to the phone. Safe from several threads.
 *
 * [open] verifies everything before it returns: the archive, every field of the manifest, the SHA-256 and size of every
 * entry, and the signature if there is one. Nothing in a bundle is executed or unpacked.
 *
 * @property manifest what the bundle says about itself; stays usable after [close].
 */
public class Bundle private constructor(
    private val source: Source,
    private val archive: Archive,
    public val manifest: Manifest,
    private val folder: String = "",
) : Closeable {
    /** Its path, or the name it was opened under; messages start with it. */
    public val path: String get() = source.name

    /** Its size in bytes. */
    public val size: Long get() = source.size

    /** The names of all entries, the manifest first. */
    public val names: List<String> get() = inside(archive.entries.keys, folder)

    /** The entry that holds the graph, such as "model.onnx". */
    public val modelName: String = modelName(names)

    /**
     * The contents of one entry, with its CRC checked again; for small entries (at most 64 MiB).
     *
     * @throws BundleException no such entry, damaged since the bundle was opened, or the bundle is closed.
     */
    public fun read(name: String): ByteArray = archive.read(folder + name)

    /**
     * One entry in place: a read-only direct buffer on the pages of the file, of the entry's size. It stays valid after
     * [close]. The file must not be changed while the buffer is in use. Where the bundle is a part of a file that does
     * not begin at a multiple of 8 bytes, the entry is copied into memory instead.
     *
     * @throws BundleException no such entry, larger than 2 GiB, or the bundle is closed.
     */
    public fun map(name: String): ByteBuffer = archive.map(folder + name)

    /** The bundle inside a cascade; closing it closes this one too. */
    internal fun part(): Bundle {
        try {
            val found = Manifest.fromJson(Json.parse(read(PART + Archive.FIRST), Archive.FIRST))
            checkNames(found.files.keys, inside(archive.entries.keys, PART).toSet())
            if (found.cascade != null) {
                throw BundleException("it is a cascade inside a cascade, and two models are all that is read")
            }
            found.files.entries.firstOrNull { (name, info) -> manifest.files[PART + name] != info }?.let {
                throw BundleException("the contents of ${repr(it.key)} do not match the SHA-256 in its manifest")
            }
            return Bundle(source, archive, found, PART)
        } catch (error: BundleException) {
            throw BundleException("$path: $PART: ${error.message}", error)
        }
    }

    /**
     * The test vectors, at least one.
     *
     * @throws BundleException a line is not such a vector of this model.
     */
    public fun golden(): List<GoldenVector> {
        val lines = read(GOLDEN).toString(Charsets.ISO_8859_1).split("\r\n", "\n", "\r")
        val vectors = lines.dropLastWhile { it.isEmpty() }.mapIndexed { index, line ->
            try {
                goldenVector(Json.parse(line.toByteArray(Charsets.ISO_8859_1), "the line"), manifest)
            } catch (error: BundleException) {
                throw BundleException("$path: $GOLDEN, line ${index + 1}: ${error.message}", error)
            }
        }
        if (vectors.isEmpty()) {
            throw BundleException("$path: $GOLDEN holds no test vector. Export the bundle again.")
        }
        return vectors
    }

    /** Closes the file. Closing twice is fine. */
    override fun close() {
        source.close()
    }

    public companion object {
        private const val GOLDEN = "golden.jsonl"
        private const val SIGNATURE = "signature"
        private const val PART = "first/"

        /**
         * Opens and verifies a bundle.
         *
         * @param publicKey an EC key on P-256; then the bundle must carry its signature. A signed bundle is refused
         *   without a key: an unchecked signature is worse than none.
         * @throws BundleException one sentence with the file and the reason: missing, not a bundle, damaged, unsafe,
         *   wrongly signed, or made by a newer EdgeBERT.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(file: File, publicKey: PublicKey? = null): Bundle = open(Source.of(file), publicKey)

        /**
         * Opens and verifies a bundle that is a part of a file, such as an uncompressed asset of an APK.
         *
         * @param channel the file; owned by the bundle from now on, also when this fails.
         * @param start where the bundle begins, in bytes.
         * @param length its size in bytes.
         * @param name what messages call it.
         * @param owner is closed with the bundle, after the channel.
         * @throws BundleException see the other `open`.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(
            channel: FileChannel,
            start: Long,
            length: Long,
            name: String,
            publicKey: PublicKey? = null,
            owner: Closeable = channel,
        ): Bundle = open(Source(name, channel, start, length, owner), publicKey)

        private fun open(source: Source, publicKey: PublicKey?): Bundle {
            try {
                return verify(source, publicKey)
            } catch (error: BundleException) {
                source.close()
                if (error.message.orEmpty().startsWith(source.name)) throw error
                throw BundleException("${source.name}: ${error.message}", error)
            } catch (error: Throwable) {
                source.close()
                throw error
            }
        }

        private fun verify(source: Source, publicKey: PublicKey?): Bundle {
            val archive = Archive(source)
            if (Archive.FIRST !in archive.entries) {
                throw BundleException("it holds no ${Archive.FIRST}, so it is a ZIP archive but not a bundle")
            }
            val raw = archive.read(Archive.FIRST)
            val manifest = Manifest.fromJson(Json.parse(raw, Archive.FIRST))
            checkNames(manifest.files.keys, archive.entries.keys)
            checkSignature(archive, raw, publicKey)
            for ((name, info) in manifest.files) checkFile(archive, name, info)
            val bundle = Bundle(source, archive, manifest)
            if (manifest.cascade != null) bundle.part()
            return bundle
        }

        /** The manifest lists every other entry, no more and no less, with a graph and golden vectors among them. */
        private fun checkNames(listed: Set<String>, entries: Set<String>) {
            val present = entries - Archive.FIRST - SIGNATURE
            (listed - present).minOrNull()?.let {
                throw BundleException("the manifest lists ${repr(it.cut(80))}, which is missing")
            }
            (present - listed).minOrNull()?.let {
                throw BundleException("it holds ${repr(it)}, which the manifest does not list")
            }
            modelName(present)
            if (GOLDEN !in present) throw BundleException("it holds no $GOLDEN (the test vectors)")
        }

        private fun checkFile(archive: Archive, name: String, info: FileInfo) {
            val size = archive.entries.getValue(name).size
            if (size != info.size) {
                throw BundleException("${repr(name)} has $size bytes, but the manifest says ${info.size}")
            }
            val digest = MessageDigest.getInstance("SHA-256")
            archive.check(name) { digest.update(it) }
            val found = digest.digest().joinToString("") { ((it.toInt() and 0xFF) + 0x100).toString(16).substring(1) }
            if (found != info.sha256) {
                throw BundleException("the contents of ${repr(name)} do not match the SHA-256 in the manifest")
            }
        }

        /** The signature is over the manifest, which holds the SHA-256 of everything else. */
        private fun checkSignature(archive: Archive, manifest: ByteArray, publicKey: PublicKey?) {
            val signed = SIGNATURE in archive.entries
            if (publicKey == null) {
                if (signed) throw BundleException("it is signed: give the public key, so that the signature is checked")
                return
            }
            if (!signed) throw BundleException("it is not signed, but a public key was given to check it with")
            if (publicKey !is ECPublicKey || publicKey.params.order.bitLength() != 256) {
                throw UsageException("the public key must be an EC key on P-256, not ${publicKey.algorithm}")
            }
            val fits = try {
                val verifier = Signature.getInstance("SHA256withECDSA")
                verifier.initVerify(publicKey)
                verifier.update(manifest)
                verifier.verify(archive.read(SIGNATURE))
            } catch (error: GeneralSecurityException) {
                false // bytes that are no signature at all
            }
            if (!fits) throw BundleException("its signature is not of this manifest by the public key given")
        }

        /** The names of what a folder holds, without the folder's own; "" for all. */
        private fun inside(names: Collection<String>, folder: String): List<String> =
            names.filter { it.startsWith(folder) }.map { it.removePrefix(folder) }

        private fun modelName(names: Collection<String>): String {
            val models = names.filter { it.startsWith("model.") && '/' !in it }.sorted()
            return models.singleOrNull()
                ?: throw BundleException("it must hold exactly one entry named model.*, not ${repr(models)}")
        }
    }
}
