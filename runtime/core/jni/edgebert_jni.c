/* JNI entry points: class com.edgebert.runtime.Core, all of them `static native`.
 *
 * The core does not allocate, so Kotlin does: a handle lives in a direct ByteBuffer whose size the matching size
 * function tells. Buffers need no alignment; the sizes hold room for it. Kotlin keeps the buffers of a handle (its
 * memory, and the file it was opened on) reachable and unchanged as long as it uses the handle. A handle may be used by
 * several threads at once, each with scratch memory of its own.
 *
 * A model's or an archive's bytes are a part of a direct buffer: (buffer, offset, length). Texts are UTF-8 in byte
 * arrays. Every function returns a count, a size, or a negative eb_status (message() says it in words); none throws. */
#include <jni.h>

#include "edgebert.h"
#include "system_features.h"
#include "text.h"

#define CORE(type, name) JNIEXPORT type JNICALL Java_com_edgebert_runtime_Core_##name

/* ---- what Java gives ------------------------------------------------------------------------------------------- */

typedef struct bytes_of {
    uint8_t *at;
    size_t size;
} bytes_of;

/* All bytes of a direct buffer; {0, 0} for null and for a buffer on the heap. */
static bytes_of direct(JNIEnv *env, jobject buffer) {
    if (!buffer) return (bytes_of){0};
    uint8_t *at = (*env)->GetDirectBufferAddress(env, buffer);
    const jlong capacity = (*env)->GetDirectBufferCapacity(env, buffer);
    if (!at || capacity < 0) return (bytes_of){0};
    return (bytes_of){at, (size_t)capacity};
}

/* The part [offset, offset + length) of a direct buffer; {0, 0} when it reaches out of it. */
static bytes_of part(JNIEnv *env, jobject buffer, jlong offset, jlong length) {
    const bytes_of all = direct(env, buffer);
    if (!all.at || offset < 0 || length < 0) return (bytes_of){0};
    if ((uint64_t)offset > all.size || (uint64_t)length > all.size - (uint64_t)offset) return (bytes_of){0};
    return (bytes_of){all.at + offset, (size_t)length};
}

/* The part of `all` that starts at a multiple of EB_ALIGNMENT. */
static bytes_of aligned(bytes_of all) {
    const size_t skip = (size_t)(-(uintptr_t)all.at & (EB_ALIGNMENT - 1));
    if (!all.at || all.size < skip) return (bytes_of){0};
    return (bytes_of){all.at + skip, all.size - skip};
}

/* A Java array while it is held. Between hold and release no other JNI function may be called, but for these two. */
typedef struct held {
    jarray array;
    void *at;
    size_t length;
} held;

/* Fills in the length; null is fine and has none. To be called for all arrays before the first is held. */
static held measure(JNIEnv *env, jarray array) {
    return (held){array, 0, array ? (size_t)(*env)->GetArrayLength(env, array) : 0};
}

static bool hold(JNIEnv *env, held *it) {
    if (it->array) it->at = (*env)->GetPrimitiveArrayCritical(env, it->array, 0);
    return !it->array || it->at;
}

/* Gives an array back; `mode` is JNI_ABORT for one that was only read. */
static void release(JNIEnv *env, held *it, jint mode) {
    if (it->at) (*env)->ReleasePrimitiveArrayCritical(env, it->array, it->at, mode);
}

/* ---- handles --------------------------------------------------------------------------------------------------- */

enum { MODEL = 0x4C444F4D, WORDPIECE = 0x43504457, NGRAMS = 0x534D474E };

/* Stands before a handle in its memory, so that a buffer which holds none, or another one, is found out. `self` is its
 * own address: the copy of a buffer is no handle. */
typedef struct slot {
    const struct slot *self;
    const void *handle;
    uint32_t kind;
} slot;

#define SLOT_BYTES ((size_t)EB_ALIGNMENT) /* what follows a slot is aligned as well */
_Static_assert(sizeof(slot) <= EB_ALIGNMENT, "a slot fits before the handle");

static jlong with_slot(size_t size) { return (jlong)(size + SLOT_BYTES + EB_ALIGNMENT - 1); }

/* Memory for a handle, and the slot before it; {0, 0} when the buffer is too small even for the slot. */
static bytes_of prepare(JNIEnv *env, jobject memory, slot **before) {
    const bytes_of all = aligned(direct(env, memory));
    if (all.size < SLOT_BYTES) return (bytes_of){0};
    *before = (slot *)all.at;
    **before = (slot){0};
    return (bytes_of){all.at + SLOT_BYTES, all.size - SLOT_BYTES};
}

static jint finish(slot *before, uint32_t kind, int status, const void *handle) {
    if (status == EB_OK) *before = (slot){before, handle, kind};
    return status;
}

/* The handle in `memory`, null when there is none of this kind. */
static const void *handle_in(JNIEnv *env, jobject memory, uint32_t kind) {
    const bytes_of all = aligned(direct(env, memory));
    if (all.size < SLOT_BYTES) return 0;
    const slot *before = (const slot *)all.at;
    return before->self == before && before->kind == kind ? before->handle : 0;
}

/* ---- the core -------------------------------------------------------------------------------------------------- */

/* EB_API_VERSION. */
CORE(jint, apiVersion)(JNIEnv *env, jclass core) {
    (void)env, (void)core;
    return EB_API_VERSION;
}

/* What this processor can do, as bits for modelOpen. */
CORE(jint, features)(JNIEnv *env, jclass core) {
    (void)env, (void)core;
    return (jint)system_features();
}

/* One English sentence for a status. */
CORE(jstring, message)(JNIEnv *env, jclass core, jint status) {
    (void)core;
    return (*env)->NewStringUTF(env, eb_message(status));
}

/* Turns the logits in an array into probabilities. */
CORE(jint, softmax)(JNIEnv *env, jclass core, jfloatArray logits) {
    (void)core;
    held values = measure(env, logits);
    if (values.length == 0) return EB_BAD_ARGUMENT;
    if (!hold(env, &values)) return EB_SMALL_MEMORY;
    eb_softmax(values.at, (unsigned)values.length);
    release(env, &values, 0);
    return EB_OK;
}

/* Finds an entry of a bundle by its name (ASCII): place[0] is its offset in the archive, place[1] its size. */
CORE(jint, bundleFind)
(JNIEnv *env, jclass core, jobject buffer, jlong offset, jlong length, jbyteArray name, jlongArray place) {
    (void)core;
    char text[256] = {0};
    size_t found[2];
    const bytes_of archive = part(env, buffer, offset, length);
    const size_t name_bytes = measure(env, name).length; /* the longest name in a bundle has 200 */
    if (!archive.at || measure(env, place).length < 2) return EB_BAD_ARGUMENT;
    if (name_bytes == 0 || name_bytes >= sizeof text) return EB_BAD_ARGUMENT;
    (*env)->GetByteArrayRegion(env, name, 0, (jsize)name_bytes, (jbyte *)text);
    for (size_t i = 0; i < name_bytes; i++)
        if (text[i] == 0) return EB_BAD_ARGUMENT; /* would be taken for the name's end */
    const int status = eb_bundle_find(archive.at, archive.size, text, &found[0], &found[1]);
    if (status != EB_OK) return status;
    const jlong values[2] = {(jlong)found[0], (jlong)found[1]};
    (*env)->SetLongArrayRegion(env, place, 0, 2, values);
    return EB_OK;
}

/* ---- the n-gram student ---------------------------------------------------------------------------------------- */

/* Bytes of the direct buffer that a model's handle lives in. */
CORE(jlong, modelSize)(JNIEnv *env, jclass core) {
    (void)env, (void)core;
    return with_slot(eb_model_size());
}

/* Opens a .ebnn file that lies in a part of `file`, at an address that is a multiple of 8 (as in a mapped bundle);
 * `features` as features() gives them, or fewer. */
CORE(jint, modelOpen)
(JNIEnv *env, jclass core, jobject memory, jobject file, jlong offset, jlong length, jint features) {
    (void)core;
    slot *before;
    const eb_model *model = 0;
    const bytes_of room = prepare(env, memory, &before), source = part(env, file, offset, length);
    if (!room.at) return EB_SMALL_MEMORY;
    if (!source.at) return EB_BAD_ARGUMENT;
    /* Kernels that this processor cannot run would end the process. */
    const uint32_t usable = (uint32_t)features & system_features();
    const int status = eb_model_open(room.at, room.size, source.at, source.size, usable, &model);
    return finish(before, MODEL, status, model);
}

/* Number of classes: the length of the logits. */
CORE(jint, modelClasses)(JNIEnv *env, jclass core, jobject memory) {
    (void)core;
    const eb_model *model = handle_in(env, memory, MODEL);
    return model ? (jint)eb_model_classes(model) : EB_BAD_ARGUMENT;
}

/* 1 when the model takes pairs of texts, else 0. */
CORE(jint, modelTakesPairs)(JNIEnv *env, jclass core, jobject memory) {
    (void)core;
    const eb_model *model = handle_in(env, memory, MODEL);
    return model ? eb_model_takes_pairs(model) != 0 : EB_BAD_ARGUMENT;
}

/* Bytes of the direct buffer that one thread needs as scratch for logits(). */
CORE(jlong, modelScratch)(JNIEnv *env, jclass core, jobject memory) {
    (void)core;
    const eb_model *model = handle_in(env, memory, MODEL);
    return model ? (jlong)(eb_model_scratch(model) + EB_ALIGNMENT - 1) : EB_BAD_ARGUMENT;
}

/* Logits of a text, or of a pair (`pair` is null for one text), into `out`, of modelClasses() floats or more. */
CORE(jint, logits)
(JNIEnv *env, jclass core, jobject memory, jbyteArray text, jbyteArray pair, jfloatArray out, jobject scratch) {
    (void)core;
    const eb_model *model = handle_in(env, memory, MODEL);
    const bytes_of room = aligned(direct(env, scratch));
    held a = measure(env, text), b = measure(env, pair), logits = measure(env, out);
    if (!model || !a.array || !logits.array || logits.length < eb_model_classes(model)) return EB_BAD_ARGUMENT;
    if (!room.at) return EB_SMALL_MEMORY;
    int status = EB_SMALL_MEMORY;
    if (hold(env, &a) && hold(env, &b) && hold(env, &logits))
        status = eb_model_logits(model, a.at, a.length, b.at, b.length, logits.at, room.at, room.size);
    release(env, &logits, 0);
    release(env, &b, JNI_ABORT);
    release(env, &a, JNI_ABORT);
    return status;
}

/* ---- WordPiece ------------------------------------------------------------------------------------------------- */

/* Bytes of the direct buffer that the handle for this vocab.txt (a part of `file`) lives in. */
CORE(jlong, wordpieceSize)(JNIEnv *env, jclass core, jobject file, jlong offset, jlong length) {
    (void)core;
    const bytes_of vocabulary = part(env, file, offset, length);
    if (!vocabulary.at) return EB_BAD_ARGUMENT;
    const size_t size = eb_wordpiece_size(vocabulary.at, vocabulary.size);
    return size ? with_slot(size) : EB_BAD_VOCABULARY;
}

/* Builds the tokenizer; `file` is not needed afterwards. Flags: 1 lower-case, 2 strip accents. */
CORE(jint, wordpieceMake)
(JNIEnv *env, jclass core, jobject memory, jobject file, jlong offset, jlong length, jint flags) {
    (void)core;
    slot *before;
    const eb_wordpiece *made = 0;
    const bytes_of room = prepare(env, memory, &before), vocabulary = part(env, file, offset, length);
    if (!room.at) return EB_SMALL_MEMORY;
    if (!vocabulary.at) return EB_BAD_ARGUMENT;
    const int status = eb_wordpiece_make(room.at, room.size, vocabulary.at, vocabulary.size, (uint32_t)flags, &made);
    return finish(before, WORDPIECE, status, made);
}

/* Ids as BERT takes them, at most ids.length; `pair` and `types` may be null. `scratch` holds 4 ints for each id.
 * Returns the number of ids. */
CORE(jlong, wordpieceIds)
(JNIEnv *env, jclass core, jobject memory, jbyteArray text, jbyteArray pair, jintArray ids, jintArray types,
 jintArray scratch) {
    (void)core;
    const eb_wordpiece *wordpiece = handle_in(env, memory, WORDPIECE);
    held a = measure(env, text), b = measure(env, pair), out = measure(env, ids), kinds = measure(env, types);
    held tokens = measure(env, scratch);
    if (!wordpiece || !a.array || out.length < 4 || (kinds.array && kinds.length < out.length)) return EB_BAD_ARGUMENT;
    if (tokens.length / 4 < out.length) return EB_SMALL_MEMORY;
    int64_t count = EB_SMALL_MEMORY;
    if (hold(env, &a) && hold(env, &b) && hold(env, &out) && hold(env, &kinds) && hold(env, &tokens))
        count = eb_wordpiece_ids(wordpiece, a.at, a.length, b.at, b.length, out.length, out.at, kinds.at, tokens.at);
    release(env, &tokens, JNI_ABORT);
    release(env, &kinds, 0);
    release(env, &out, 0);
    release(env, &b, JNI_ABORT);
    release(env, &a, JNI_ABORT);
    return count;
}

/* Tokens of a text without [CLS] and [SEP]: id, word, start, end of each, 4 ints, as many as `out` holds. Offsets are
 * in `unit`: 0 bytes, 1 code points, 2 UTF-16 (indices of the String). Returns how many tokens there are in all. */
CORE(jlong, wordpieceTokens)
(JNIEnv *env, jclass core, jobject memory, jbyteArray text, jint unit, jintArray out) {
    (void)core;
    const eb_wordpiece *wordpiece = handle_in(env, memory, WORDPIECE);
    held a = measure(env, text), tokens = measure(env, out);
    if (!wordpiece || !a.array || !tokens.array || unit < EB_BYTES || unit > EB_UTF16) return EB_BAD_ARGUMENT;
    int64_t count = EB_SMALL_MEMORY;
    if (hold(env, &a) && hold(env, &tokens)) {
        const size_t capacity = tokens.length / 4;
        count = eb_wordpiece_tokens(wordpiece, a.at, a.length, tokens.at, capacity, 0);
        const size_t written = count < 0 ? 0 : (uint64_t)count < capacity ? (size_t)count : capacity;
        eb_offsets_convert(a.at, a.length, tokens.at, written, (eb_unit)unit);
    }
    release(env, &tokens, 0);
    release(env, &a, JNI_ABORT);
    return count;
}

/* ---- n-grams, for engines other than our own --------------------------------------------------------------------- */

/* Bytes of the direct buffer that the handle on a vocabulary (ngrams.bin) lives in. */
CORE(jlong, ngramsSize)(JNIEnv *env, jclass core) {
    (void)env, (void)core;
    return with_slot(eb_ngrams_size());
}

/* Opens an ngrams.bin that lies in a part of `file`. */
CORE(jint, ngramsOpen)(JNIEnv *env, jclass core, jobject memory, jobject file, jlong offset, jlong length) {
    (void)core;
    slot *before;
    const eb_ngrams *ngrams = 0;
    const bytes_of room = prepare(env, memory, &before), table = part(env, file, offset, length);
    if (!room.at) return EB_SMALL_MEMORY;
    if (!table.at) return EB_BAD_ARGUMENT;
    const int status = eb_ngrams_open(room.at, room.size, table.at, table.size, &ngrams);
    return finish(before, NGRAMS, status, ngrams);
}

/* Number of channels. */
CORE(jint, ngramsChannels)(JNIEnv *env, jclass core, jobject memory) {
    (void)core;
    const eb_ngrams *ngrams = handle_in(env, memory, NGRAMS);
    return ngrams ? (jint)eb_ngrams_channels(ngrams) : EB_BAD_ARGUMENT;
}

/* Rows of a channel, row 0 (padding) included. */
CORE(jlong, ngramsRows)(JNIEnv *env, jclass core, jobject memory, jint channel) {
    (void)core;
    const eb_ngrams *ngrams = handle_in(env, memory, NGRAMS);
    if (!ngrams || channel < 0 || (unsigned)channel >= eb_ngrams_channels(ngrams)) return EB_BAD_ARGUMENT;
    return eb_ngrams_rows(ngrams, (unsigned)channel);
}

/* Rows of the known n-grams of one channel, as many as `ids` holds. Returns how many there are in all. */
CORE(jlong, ngramsIds)(JNIEnv *env, jclass core, jobject memory, jint channel, jbyteArray text, jintArray ids) {
    (void)core;
    const eb_ngrams *ngrams = handle_in(env, memory, NGRAMS);
    held a = measure(env, text), out = measure(env, ids);
    if (!ngrams || channel < 0 || (unsigned)channel >= eb_ngrams_channels(ngrams)) return EB_BAD_ARGUMENT;
    if (!a.array || !out.array) return EB_BAD_ARGUMENT;
    int64_t count = EB_SMALL_MEMORY;
    if (hold(env, &a) && hold(env, &out))
        count = eb_ngrams_ids(ngrams, (unsigned)channel, a.at, a.length, out.at, out.length);
    release(env, &out, 0);
    release(env, &a, JNI_ABORT);
    return count;
}

/* The words of a text, 16 ints each, as many as `out` holds: start, end, row (0: not known), 12 rows of character
 * n-grams (zeros behind), shape (eb_shape). `words` is a channel of single words, `characters` one of characters; the
 * unit as for wordpieceTokens. Returns how many words there are in all. */
CORE(jlong, ngramsWords)
(JNIEnv *env, jclass core, jobject memory, jint words, jint characters, jbyteArray text, jint unit, jintArray out) {
    (void)core;
    _Static_assert(sizeof(eb_word) == 16 * sizeof(jint), "a word is 16 ints");
    const eb_ngrams *ngrams = handle_in(env, memory, NGRAMS);
    held a = measure(env, text), room = measure(env, out);
    if (!ngrams || !a.array || !room.array || unit < EB_BYTES || unit > EB_UTF16) return EB_BAD_ARGUMENT;
    int64_t count = EB_SMALL_MEMORY;
    if (hold(env, &a) && hold(env, &room)) {
        const size_t capacity = room.length / 16;
        count = eb_ngrams_words(ngrams, (unsigned)words, (unsigned)characters, a.at, a.length, room.at, capacity);
        const size_t written = count < 0 ? 0 : (uint64_t)count < capacity ? (size_t)count : capacity;
        eb_words_convert(a.at, a.length, room.at, written, (eb_unit)unit);
    }
    release(env, &room, 0);
    release(env, &a, JNI_ABORT);
    return count;
}
