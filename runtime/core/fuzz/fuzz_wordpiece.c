/* WordPiece: any text, and any vocabulary.
 *
 * Input: flags (1 lower-case, 2 strip accents, 4 the vocabulary is part of the input), max_length - 4, then
 * with flag 4 two bytes for the vocabulary's size and the vocabulary; the rest is the text. */
#include "fuzz.h"

static const char small_vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n!\n\"\n'\n,\n-\n.\n/\n?\n[\n]\n0\n1\n2\n"
    "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nu\nv\nw\nx\ny\nz\n"
    "##a\n##b\n##c\n##d\n##e\n##f\n##g\n##h\n##i\n##l\n##m\n##n\n##o\n##p\n##r\n##s\n##t\n##u\n##y\n"
    "##ing\n##tion\n##ness\nthe\nun\nhappy\nunhappy\nrun\nrunning\nA\nB\nÉ\né\n##é\n中\n国\n##国\nß\n"
    "ss\nσ\nς\ni\xCC\x87\n\xF0\x9F\x98\x80\n##\xF0\x9F\x98\x80\nА\nб\n##б\nका\n";

typedef struct subject {
    const eb_wordpiece *wordpiece;
    int64_t lines;
    const uint8_t *text;
    size_t bytes;
} subject;

/* What holds of tokens in any unit: known ids, ranges inside the text, in order. */
static void expect_order(const subject *s, const eb_token *tokens, size_t count, size_t length) {
    for (size_t i = 0; i < count; i++) {
        EXPECT(tokens[i].id >= 0 && tokens[i].id < s->lines);
        EXPECT(tokens[i].start <= tokens[i].end && tokens[i].end <= length);
        EXPECT(i == 0 || tokens[i].start >= tokens[i - 1].start);
        EXPECT(i == 0 || tokens[i].word >= tokens[i - 1].word);
    }
}

/* The same tokens with less room: the first of them, and the same count (or, with `stop`, no more than fit). */
static void expect_prefix(const subject *s, const eb_token *all, size_t count, size_t capacity) {
    eb_token *some = take(capacity * sizeof(eb_token));
    const size_t written = count < capacity ? count : capacity;
    EXPECT(eb_wordpiece_tokens(s->wordpiece, s->text, s->bytes, some, capacity, 0) == (int64_t)count);
    EXPECT(!memcmp(some, all, written * sizeof(eb_token)));
    EXPECT(eb_wordpiece_tokens(s->wordpiece, s->text, s->bytes, some, capacity, 1) == (int64_t)written);
    EXPECT(!memcmp(some, all, written * sizeof(eb_token)));
    free(some);
}

static void try_tokens(const subject *s, size_t capacity) {
    const int64_t count = eb_wordpiece_tokens(s->wordpiece, s->text, s->bytes, 0, 0, 0);
    EXPECT(count >= 0 && (uint64_t)count <= 18 * (uint64_t)s->bytes); /* no code point decomposes into more than 18 */
    eb_token *tokens = take((size_t)count * sizeof(eb_token));
    EXPECT(eb_wordpiece_tokens(s->wordpiece, s->text, s->bytes, tokens, (size_t)count, 0) == count);
    expect_order(s, tokens, (size_t)count, s->bytes);
    expect_prefix(s, tokens, (size_t)count, capacity);
    for (eb_unit unit = EB_BYTES; unit <= EB_UTF16; unit++) {
        eb_token *converted = copy_of(tokens, (size_t)count * sizeof(eb_token));
        eb_offsets_convert(s->text, s->bytes, converted, (size_t)count, unit);
        expect_order(s, converted, (size_t)count, s->bytes);
        if (unit == EB_BYTES) EXPECT(!memcmp(converted, tokens, (size_t)count * sizeof(eb_token)));
        free(converted);
    }
    free(tokens);
}

static void try_ids(const subject *s, size_t max_length) {
    int32_t *ids = take(max_length * sizeof(int32_t)), *types = take(max_length * sizeof(int32_t));
    eb_token *scratch = take(max_length * sizeof(eb_token));
    const size_t half = s->bytes / 2;
    for (int pair = 0; pair <= 1; pair++) {
        const uint8_t *b = pair ? s->text + half : 0;
        const size_t a_bytes = pair ? half : s->bytes, b_bytes = s->bytes - a_bytes;
        const int64_t count =
            eb_wordpiece_ids(s->wordpiece, s->text, a_bytes, b, b_bytes, max_length, ids, types, scratch);
        EXPECT(count >= 2 + pair && (uint64_t)count <= max_length);
        for (int64_t i = 0; i < count; i++) {
            EXPECT(ids[i] >= 0 && ids[i] < s->lines);
            EXPECT(types[i] == 0 || (pair && types[i] == 1));
            EXPECT(i == 0 || types[i] >= types[i - 1]);
        }
        EXPECT(ids[0] != ids[count - 1]); /* [CLS] and [SEP] */
        EXPECT(types[count - 1] == pair);
    }
    free(scratch), free(types), free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    const uint8_t flags = next_byte(&in);
    const size_t max_length = 4 + (size_t)next_byte(&in);
    input vocabulary = {(const uint8_t *)small_vocabulary, sizeof small_vocabulary - 1};
    if (flags & 4) {
        const size_t most = next_byte(&in);
        vocabulary = next_part(&in, most | (size_t)next_byte(&in) << 8);
    }
    uint8_t *lines = copy_of(vocabulary.at, vocabulary.left), *text = copy_of(in.at, in.left);
    subject s = {.lines = 1, .text = text, .bytes = in.left};
    for (size_t i = 0; i < vocabulary.left; i++) s.lines += lines[i] == '\n';

    const size_t needed = eb_wordpiece_size(lines, vocabulary.left);
    EXPECT(needed < (1u << 20) + 64 * vocabulary.left);
    void *memory = take(needed);
    const int status = eb_wordpiece_make(memory, needed, lines, vocabulary.left, flags & 3, &s.wordpiece);
    free(lines); /* not needed afterwards, says the API */
    EXPECT(status == EB_OK || (flags & 4));
    if (status == EB_OK) {
        EXPECT(needed > 0);
        try_tokens(&s, max_length);
        try_ids(&s, max_length);
    } else {
        EXPECT(status == EB_BAD_VOCABULARY || status == EB_SMALL_MEMORY || status == EB_BAD_ARGUMENT);
    }
    free(memory), free(text);
    return 0;
}
