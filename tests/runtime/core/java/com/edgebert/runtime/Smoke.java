package com.edgebert.runtime;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Calls every native method, once as it is meant and then with what is wrong. Prints what was found, one line each, for
 * the test to compare; ends with an exception when a wrong argument is not refused.
 *
 * <p>Arguments: library, vocab.txt, .ebnn, ngrams.bin, bundle, entry of the bundle, text.
 */
public final class Smoke {
    private static final int BAD_MODEL = -1;
    private static final int SMALL_MEMORY = -3;
    private static final int BAD_ARGUMENT = -4;
    private static final int BAD_VOCABULARY = -5;

    public static void main(String[] arguments) throws IOException {
        System.load(arguments[0]);
        byte[] text = arguments[6].getBytes(StandardCharsets.UTF_8);
        System.out.println("core " + Core.apiVersion() + " " + Core.features());
        wordpiece(read(arguments[1]), text);
        model(read(arguments[2]), text);
        ngrams(read(arguments[3]), text);
        bundle(read(arguments[4]), arguments[5].getBytes(StandardCharsets.UTF_8));
        expect(Core.softmax(new float[0]), BAD_ARGUMENT);
        expect(Core.softmax(null), BAD_ARGUMENT);
        if (!Core.message(BAD_MODEL).contains("model")) throw new AssertionError(Core.message(BAD_MODEL));
        System.out.println("done");
    }

    /** A file in a direct buffer, from byte 8 on. */
    private static ByteBuffer read(String path) throws IOException {
        byte[] bytes = Files.readAllBytes(Paths.get(path));
        ByteBuffer buffer = memory(bytes.length + 8);
        buffer.position(8);
        buffer.put(bytes);
        return buffer;
    }

    private static ByteBuffer memory(long bytes) {
        return ByteBuffer.allocateDirect(Math.toIntExact(bytes));
    }

    private static void expect(long got, long wanted) {
        if (got != wanted) throw new AssertionError("got " + got + ", not " + wanted);
    }

    private static void print(String name, int[] values, long count) {
        System.out.println(name + " " + Arrays.toString(Arrays.copyOf(values, (int) count)));
    }

    private static void wordpiece(ByteBuffer file, byte[] text) {
        long length = file.capacity() - 8;
        ByteBuffer memory = memory(Core.wordpieceSize(file, 8, length));
        expect(Core.wordpieceMake(memory, file, 8, length, 3), 0);
        int[] ids = new int[64];
        int[] types = new int[64];
        int[] scratch = new int[256];
        print("ids", ids, Core.wordpieceIds(memory, text, null, ids, types, scratch));
        print("pair ids", ids, Core.wordpieceIds(memory, text, text, ids, types, scratch));
        print("pair types", types, 64);
        int[] tokens = new int[400];
        long count = Core.wordpieceTokens(memory, text, 2, tokens);
        print("tokens", tokens, 4 * count);
        expect(Core.wordpieceTokens(memory, text, 2, new int[7]), count);

        expect(Core.wordpieceSize(file, 8, 3), BAD_VOCABULARY);
        expect(Core.wordpieceSize(file, 9, length), BAD_ARGUMENT);
        expect(Core.wordpieceSize(file, -1, 2), BAD_ARGUMENT);
        expect(Core.wordpieceSize(file, Long.MAX_VALUE, Long.MAX_VALUE), BAD_ARGUMENT);
        expect(Core.wordpieceSize(null, 0, 0), BAD_ARGUMENT);
        expect(Core.wordpieceSize(ByteBuffer.allocate(100), 0, 100), BAD_ARGUMENT);
        expect(Core.wordpieceMake(memory(10), file, 8, length, 3), SMALL_MEMORY);
        expect(Core.wordpieceMake(memory(1000), file, 8, length, 3), SMALL_MEMORY);
        expect(Core.wordpieceIds(memory, null, null, ids, types, scratch), BAD_ARGUMENT);
        expect(Core.wordpieceIds(memory, text, null, new int[3], null, scratch), BAD_ARGUMENT);
        expect(Core.wordpieceIds(memory, text, null, ids, new int[63], scratch), BAD_ARGUMENT);
        expect(Core.wordpieceIds(memory, text, null, ids, types, new int[255]), SMALL_MEMORY);
        expect(Core.wordpieceIds(memory(4096), text, null, ids, types, scratch), BAD_ARGUMENT);
        expect(Core.wordpieceTokens(memory, text, 3, tokens), BAD_ARGUMENT);
        expect(Core.wordpieceTokens(memory, text, 0, null), BAD_ARGUMENT);
        expect(Core.modelClasses(memory), BAD_ARGUMENT); // another kind of handle
        ByteBuffer copy = memory(memory.capacity());
        copy.put(memory.duplicate());
        expect(Core.wordpieceTokens(copy, text, 0, tokens), BAD_ARGUMENT); // a copy is no handle
    }

    private static void model(ByteBuffer file, byte[] text) {
        long length = file.capacity() - 8;
        ByteBuffer memory = memory(Core.modelSize());
        expect(Core.modelOpen(memory, file, 8, length, -1), 0);
        float[] logits = new float[Core.modelClasses(memory)];
        ByteBuffer scratch = memory(Core.modelScratch(memory));
        expect(Core.modelTakesPairs(memory), 0);
        expect(Core.logits(memory, text, null, logits, scratch), 0);
        List<Integer> bits = new ArrayList<>();
        for (float logit : logits) bits.add(Float.floatToRawIntBits(logit));
        System.out.println("logits " + bits);
        expect(Core.softmax(logits), 0);
        float sum = 0;
        for (float probability : logits) sum += probability;
        if (Math.abs(sum - 1) > 1e-5) throw new AssertionError("probabilities add up to " + sum);

        expect(Core.logits(memory, text, text, logits, scratch), BAD_ARGUMENT);
        expect(Core.logits(memory, null, null, logits, scratch), BAD_ARGUMENT);
        expect(Core.logits(memory, text, null, null, scratch), BAD_ARGUMENT);
        expect(Core.logits(memory, text, null, new float[logits.length - 1], scratch), BAD_ARGUMENT);
        expect(Core.logits(memory, text, null, logits, null), SMALL_MEMORY);
        expect(Core.logits(memory, text, null, logits, memory(Core.modelScratch(memory) / 2)), SMALL_MEMORY);
        expect(Core.logits(null, text, null, logits, scratch), BAD_ARGUMENT);
        expect(Core.modelOpen(memory(100), file, 8, length, 0), SMALL_MEMORY);
        expect(Core.modelOpen(memory, file, 8, length + 1, 0), BAD_ARGUMENT);
        expect(Core.modelOpen(memory, file, 8, length - 8, 0), BAD_MODEL);
        expect(Core.modelClasses(memory), BAD_ARGUMENT); // the failed opening has ended the handle
    }

    private static void ngrams(ByteBuffer file, byte[] text) {
        long length = file.capacity() - 8;
        ByteBuffer memory = memory(Core.ngramsSize());
        expect(Core.ngramsOpen(memory, file, 8, length), 0);
        int[] ids = new int[1000];
        for (int channel = 0; channel < Core.ngramsChannels(memory); channel++) {
            print("rows " + Core.ngramsRows(memory, channel), ids, Core.ngramsIds(memory, channel, text, ids));
        }
        int[] words = new int[1600];
        long count = Core.ngramsWords(memory, 0, 2, text, 2, words);
        print("words", words, 16 * count);
        expect(Core.ngramsWords(memory, 0, 2, text, 2, new int[17]), count);
        expect(Core.ngramsWords(memory, 2, 0, text, 2, words), BAD_ARGUMENT);
        expect(Core.ngramsWords(memory, -1, 2, text, 2, words), BAD_ARGUMENT);
        expect(Core.ngramsWords(memory, 0, 2, text, 3, words), BAD_ARGUMENT);
        expect(Core.ngramsWords(memory, 0, 2, text, 0, null), BAD_ARGUMENT);
        expect(Core.ngramsRows(memory, -1), BAD_ARGUMENT);
        expect(Core.ngramsIds(memory, 8, text, ids), BAD_ARGUMENT);
        expect(Core.ngramsIds(memory, 0, null, ids), BAD_ARGUMENT);
        expect(Core.ngramsIds(memory, 0, text, null), BAD_ARGUMENT);
        expect(Core.ngramsOpen(memory, file, 0, 64), BAD_MODEL);
    }

    private static void bundle(ByteBuffer file, byte[] name) {
        long length = file.capacity() - 8;
        long[] place = new long[2];
        expect(Core.bundleFind(file, 8, length, name, place), 0);
        System.out.println("place " + Arrays.toString(place));
        expect(Core.bundleFind(file, 8, length, new byte[0], place), BAD_ARGUMENT);
        expect(Core.bundleFind(file, 8, length, null, place), BAD_ARGUMENT);
        expect(Core.bundleFind(file, 8, length, new byte[1000], place), BAD_ARGUMENT);
        expect(Core.bundleFind(file, 8, length, Arrays.copyOf(name, name.length + 1), place), BAD_ARGUMENT);
        expect(Core.bundleFind(file, 8, length, name, new long[1]), BAD_ARGUMENT);
        expect(Core.bundleFind(file, 8, length - 1, name, place), BAD_MODEL);
    }
}
