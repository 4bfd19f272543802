/* The core as a Python extension, `edgebert_runtime._core`: batches of texts in, arrays out, without the GIL in between.
 *
 * Texts are a sequence of str, or a pair (data, offsets) of buffers as Arrow lays strings out: UTF-8 bytes and int64
 * offsets [n + 1]. Results are bytearrays that numpy.frombuffer reads in place. Only the limited API of 3.11 is used. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "edgebert.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* ---- texts ------------------------------------------------------------------------------------------------------ */

typedef struct span {
    const uint8_t *at;
    size_t bytes;
} span;

/* A batch of texts whose bytes stay where they are until texts_release. */
typedef struct texts {
    Py_ssize_t count;
    span *spans;
    PyObject *owner; /* a tuple of str */
    Py_buffer data, offsets;
} texts;

static void texts_release(texts *t) {
    PyMem_Free(t->spans);
    Py_XDECREF(t->owner);
    if (t->data.obj) PyBuffer_Release(&t->data);
    if (t->offsets.obj) PyBuffer_Release(&t->offsets);
    memset(t, 0, sizeof *t);
}

static bool is_arrow(PyObject *source) {
    return PyTuple_Check(source) && PyTuple_Size(source) == 2 && PyObject_CheckBuffer(PyTuple_GetItem(source, 0)) &&
           PyObject_CheckBuffer(PyTuple_GetItem(source, 1));
}

static bool texts_from_arrow(PyObject *source, texts *t) {
    if (PyObject_GetBuffer(PyTuple_GetItem(source, 0), &t->data, PyBUF_SIMPLE) < 0) return false;
    if (PyObject_GetBuffer(PyTuple_GetItem(source, 1), &t->offsets, PyBUF_SIMPLE) < 0) return false;
    if (t->offsets.len < 8 || t->offsets.len % 8) {
        PyErr_SetString(PyExc_ValueError, "offsets must be int64 numbers, one more than there are texts");
        return false;
    }
    t->count = t->offsets.len / 8 - 1;
    t->spans = PyMem_Malloc(sizeof(span) * (size_t)(t->count + 1));
    if (!t->spans) return PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; i < t->count; i++) {
        int64_t range[2];
        memcpy(range, (const char *)t->offsets.buf + 8 * i, sizeof range);
        if (range[0] < 0 || range[1] < range[0] || range[1] > t->data.len) {
            PyErr_Format(PyExc_ValueError, "the offsets of text %zd lie outside the data", i + 1);
            return false;
        }
        t->spans[i] = (span){(const uint8_t *)t->data.buf + range[0], (size_t)(range[1] - range[0])};
    }
    return true;
}

static bool texts_from_sequence(PyObject *source, texts *t) {
    if (PyUnicode_Check(source)) {
        PyErr_SetString(PyExc_TypeError, "give a sequence of texts, not one str");
        return false;
    }
    t->owner = PySequence_Tuple(source); /* another thread may change the sequence; the tuple keeps its texts alive */
    if (!t->owner) return false;
    t->count = PyTuple_Size(t->owner);
    t->spans = PyMem_Malloc(sizeof(span) * (size_t)(t->count + 1));
    if (!t->spans) return PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; i < t->count; i++) {
        PyObject *text = PyTuple_GetItem(t->owner, i);
        Py_ssize_t bytes;
        if (!PyUnicode_Check(text)) {
            PyErr_Format(PyExc_TypeError, "text %zd must be a str", i + 1);
            return false;
        }
        const char *at = PyUnicode_AsUTF8AndSize(text, &bytes);
        if (!at) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "text %zd is not valid Unicode (it holds half of a surrogate pair)", i + 1);
            return false;
        }
        t->spans[i] = (span){(const uint8_t *)at, (size_t)bytes};
    }
    return true;
}

/* Fills `t`; on failure an exception is set and there is nothing to release. */
static bool texts_get(PyObject *source, texts *t) {
    memset(t, 0, sizeof *t);
    if (is_arrow(source) ? texts_from_arrow(source, t) : texts_from_sequence(source, t)) return true;
    texts_release(t);
    return false;
}

/* Texts and, unless `second` is None, as many second texts. */
static bool pairs_get(PyObject *first, PyObject *second, texts *a, texts *b) {
    memset(b, 0, sizeof *b);
    if (!texts_get(first, a)) return false;
    if (second == Py_None) return true;
    if (texts_get(second, b)) {
        if (a->count == b->count) return true;
        PyErr_Format(PyExc_ValueError, "%zd texts but %zd second texts", a->count, b->count);
        texts_release(b);
    }
    texts_release(a);
    return false;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Memory aligned as the core wants it; the pointer to free lies in front. */
static void *aligned(size_t size) {
    uint8_t *raw = malloc(size + EB_ALIGNMENT + sizeof(void *));
    if (!raw) return NULL;
    const uintptr_t at = ((uintptr_t)raw + sizeof(void *) + EB_ALIGNMENT - 1) / EB_ALIGNMENT * EB_ALIGNMENT;
    memcpy((uint8_t *)at - sizeof(void *), &raw, sizeof raw);
    return (void *)at;
}

static void aligned_free(void *memory) {
    if (!memory) return;
    void *raw;
    memcpy(&raw, (uint8_t *)memory - sizeof(void *), sizeof raw);
    free(raw);
}

/* An array that grows; works without the GIL. */
typedef struct array {
    uint8_t *at;
    size_t used, room; /* bytes */
} array;

static bool array_reserve(array *a, size_t more) {
    if (a->room - a->used >= more) return true;
    size_t room = a->room * 2 > a->used + more ? a->room * 2 : a->used + more;
    uint8_t *grown = realloc(a->at, room);
    if (!grown) return false;
    a->at = grown, a->room = room;
    return true;
}

static PyObject *array_take(array *a) {
    PyObject *taken = PyByteArray_FromStringAndSize((const char *)a->at, (Py_ssize_t)a->used);
    free(a->at);
    memset(a, 0, sizeof *a);
    return taken;
}

/* Raises what a negative result of the core means. */
static PyObject *refuse(int64_t status) {
    if (status == EB_SMALL_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, eb_message((int)status));
    return NULL;
}

/* A file's bytes, kept as long as the handle; copied when they lie at an odd address. */
typedef struct file {
    Py_buffer view;
    void *copy;
    const uint8_t *at;
    size_t bytes;
} file;

static bool file_open(file *f, PyObject *source) {
    if (PyObject_GetBuffer(source, &f->view, PyBUF_SIMPLE) < 0) return false;
    f->bytes = (size_t)f->view.len, f->at = f->view.buf;
    if ((uintptr_t)f->at % 8 == 0) return true;
    f->copy = aligned(f->bytes + 1);
    if (!f->copy) {
        PyErr_NoMemory();
        return false;
    }
    f->at = memcpy(f->copy, f->view.buf, f->bytes);
    return true;
}

static void file_close(file *f) {
    aligned_free(f->copy);
    if (f->view.obj) PyBuffer_Release(&f->view);
}

/* ---- WordPiece -------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    void *memory;
    const eb_wordpiece *made;
} WordPiece;

static PyObject *wordpiece_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"vocab", "flags", NULL};
    Py_buffer vocab;
    unsigned flags;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "y*I", names, &vocab, &flags)) return NULL;
    WordPiece *self = (WordPiece *)PyType_GenericAlloc(type, 0);
    if (self) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        const size_t size = eb_wordpiece_size(vocab.buf, (size_t)vocab.len);
        self->memory = size ? aligned(size) : NULL;
        status = !size ? EB_BAD_VOCABULARY
                       : !self->memory ? EB_SMALL_MEMORY
                                       : eb_wordpiece_make(self->memory, size, vocab.buf, (size_t)vocab.len, flags, &self->made);
        Py_END_ALLOW_THREADS
        if (status != EB_OK) {
            Py_CLEAR(self);
            refuse(status);
        }
    }
    PyBuffer_Release(&vocab);
    return (PyObject *)self;
}

static void wordpiece_dealloc(WordPiece *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    aligned_free(self->memory);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Ids of all texts, one after the other, with int64 offsets; `types` is left alone when it is null. */
static int64_t wordpiece_run(const eb_wordpiece *made, const texts *a, const texts *b, size_t max_length, array *ids,
                             array *types, int64_t *offsets) {
    eb_token *scratch = malloc(sizeof(eb_token) * max_length);
    int64_t status = scratch ? EB_OK : EB_SMALL_MEMORY;
    offsets[0] = 0;
    for (Py_ssize_t i = 0; i < a->count && status >= 0; i++) {
        const span first = a->spans[i], second = b->spans ? b->spans[i] : (span){NULL, 0};
        /* No text has more tokens than bytes, and the special ones. */
        size_t most = first.bytes + second.bytes + 3;
        if (most > max_length) most = max_length;
        if (!array_reserve(ids, most * 4) || (types && !array_reserve(types, most * 4))) {
            status = EB_SMALL_MEMORY;
            break;
        }
        status = eb_wordpiece_ids(made, first.at, first.bytes, second.at, second.bytes, max_length,
                                  (int32_t *)(void *)(ids->at + ids->used),
                                  types ? (int32_t *)(void *)(types->at + types->used) : NULL, scratch);
        if (status < 0) break;
        ids->used += (size_t)status * 4;
        if (types) types->used += (size_t)status * 4;
        offsets[i + 1] = (int64_t)(ids->used / 4);
    }
    free(scratch);
    return status < 0 ? status : EB_OK;
}

static PyObject *wordpiece_ids(WordPiece *self, PyObject *arguments) {
    PyObject *first, *second;
    Py_ssize_t max_length;
    texts a, b;
    if (!PyArg_ParseTuple(arguments, "OOn", &first, &second, &max_length)) return NULL;
    if (max_length < 4 || max_length > 1 << 24) return refuse(EB_BAD_ARGUMENT);
    if (!pairs_get(first, second, &a, &b)) return NULL;
    array ids = {0}, types = {0};
    int64_t status = EB_SMALL_MEMORY;
    PyObject *result = NULL;
    PyObject *offsets = PyByteArray_FromStringAndSize(NULL, (a.count + 1) * 8);
    if (offsets) {
        int64_t *at = (int64_t *)(void *)PyByteArray_AsString(offsets);
        Py_BEGIN_ALLOW_THREADS
        status = wordpiece_run(self->made, &a, &b, (size_t)max_length, &ids, b.spans ? &types : NULL, at);
        Py_END_ALLOW_THREADS
        if (status < 0) refuse(status);
    }
    if (offsets && status >= 0) {
        result = Py_BuildValue("(NNN)", array_take(&ids), array_take(&types), offsets);
        offsets = NULL;
    }
    Py_XDECREF(offsets);
    free(ids.at), free(types.at);
    texts_release(&a), texts_release(&b);
    return result;
}

static PyObject *wordpiece_tokens(WordPiece *self, PyObject *arguments) {
    PyObject *text;
    int unit = EB_CODE_POINTS;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(arguments, "U|i", &text, &unit)) return NULL;
    const char *at = PyUnicode_AsUTF8AndSize(text, &bytes);
    if (!at) return NULL;
    PyObject *tokens = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)sizeof(eb_token) * (bytes + 1));
    if (!tokens) return NULL;
    eb_token *out = (eb_token *)(void *)PyByteArray_AsString(tokens);
    const int64_t count = eb_wordpiece_tokens(self->made, (const uint8_t *)at, (size_t)bytes, out, (size_t)bytes + 1, 0);
    if (count < 0) {
        Py_DECREF(tokens);
        return refuse(count);
    }
    eb_offsets_convert((const uint8_t *)at, (size_t)bytes, out, (size_t)count, (eb_unit)unit);
    if (PyByteArray_Resize(tokens, (Py_ssize_t)sizeof(eb_token) * (Py_ssize_t)count) < 0) Py_CLEAR(tokens);
    return tokens;
}

static PyMethodDef wordpiece_methods[] = {
    {"ids", (PyCFunction)wordpiece_ids, METH_VARARGS,
     "ids(texts, second texts or None, max_length) -> (int32 ids, int32 types, int64 offsets [n + 1])"},
    {"tokens", (PyCFunction)wordpiece_tokens, METH_VARARGS,
     "tokens(text, unit=1) -> (id, word, start, end) of each token, int32; units: 0 bytes, 1 code points, 2 UTF-16"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot wordpiece_slots[] = {{Py_tp_new, wordpiece_new},
                                        {Py_tp_dealloc, wordpiece_dealloc},
                                        {Py_tp_methods, wordpiece_methods},
                                        {Py_tp_doc, "WordPiece(vocab, flags): BERT's tokenizer over a vocab.txt"},
                                        {0, NULL}};
static PyType_Spec wordpiece_spec = {"edgebert_runtime._core.WordPiece", sizeof(WordPiece), 0, Py_TPFLAGS_DEFAULT,
                                     wordpiece_slots};

/* ---- n-grams ---------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    file table;
    void *memory;
    const eb_ngrams *opened;
} Ngrams;

static PyObject *ngrams_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"table", NULL};
    PyObject *table;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "O", names, &table)) return NULL;
    Ngrams *self = (Ngrams *)PyType_GenericAlloc(type, 0);
    if (!self || !file_open(&self->table, table)) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    self->memory = aligned(eb_ngrams_size());
    const int status = self->memory ? eb_ngrams_open(self->memory, eb_ngrams_size(), self->table.at, self->table.bytes, &self->opened)
                                    : EB_SMALL_MEMORY;
    if (status != EB_OK) {
        Py_DECREF(self);
        return refuse(status);
    }
    return (PyObject *)self;
}

static void ngrams_dealloc(Ngrams *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    aligned_free(self->memory);
    file_close(&self->table);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* One list of numbers a text: a function of the core that fills an array, and says how many it has. */
typedef int64_t (*filler)(const void *context, span text, void *out, size_t capacity);

static PyObject *ragged(PyObject *source, filler fill, const void *context, size_t item) {
    texts t;
    if (!texts_get(source, &t)) return NULL;
    array values = {0};
    int64_t status = EB_SMALL_MEMORY;
    PyObject *offsets = PyByteArray_FromStringAndSize(NULL, (t.count + 1) * 8);
    if (offsets) {
        int64_t *at = (int64_t *)(void *)PyByteArray_AsString(offsets);
        at[0] = 0, status = EB_OK;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < t.count && status >= 0; i++) {
            const size_t guess = t.spans[i].bytes * 2 + 64;
            if (!array_reserve(&values, guess * item)) status = EB_SMALL_MEMORY;
            if (status >= 0) status = fill(context, t.spans[i], values.at + values.used, guess);
            if (status > (int64_t)guess) {
                if (array_reserve(&values, (size_t)status * item)) {
                    status = fill(context, t.spans[i], values.at + values.used, (size_t)status);
                } else {
                    status = EB_SMALL_MEMORY;
                }
            }
            if (status > 0) values.used += (size_t)status * item;
            at[i + 1] = (int64_t)(values.used / item);
        }
        Py_END_ALLOW_THREADS
        if (status < 0) refuse(status);
    }
    PyObject *result = NULL;
    if (offsets && status >= 0) {
        result = Py_BuildValue("(NN)", array_take(&values), offsets);
        offsets = NULL;
    }
    Py_XDECREF(offsets);
    free(values.at);
    texts_release(&t);
    return result;
}

typedef struct {
    const eb_ngrams *opened;
    unsigned channel;
} ids_context;

static int64_t fill_ids(const void *context, span text, void *out, size_t capacity) {
    const ids_context *c = context;
    return eb_ngrams_ids(c->opened, c->channel, text.at, text.bytes, out, capacity);
}

static PyObject *ngrams_ids(Ngrams *self, PyObject *arguments) {
    PyObject *source;
    Py_ssize_t channel;
    if (!PyArg_ParseTuple(arguments, "nO", &channel, &source)) return NULL;
    if (channel < 0 || (size_t)channel >= eb_ngrams_channels(self->opened)) return refuse(EB_BAD_ARGUMENT);
    const ids_context context = {self->opened, (unsigned)channel};
    return ragged(source, fill_ids, &context, sizeof(int32_t));
}

static PyObject *ngrams_rows(Ngrams *self, PyObject *unused) {
    (void)unused;
    const unsigned count = eb_ngrams_channels(self->opened);
    PyObject *rows = PyTuple_New((Py_ssize_t)count);
    for (unsigned i = 0; rows && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLong(eb_ngrams_rows(self->opened, i));
        if (!number || PyTuple_SetItem(rows, (Py_ssize_t)i, number) < 0) Py_CLEAR(rows);
    }
    return rows;
}

static PyMethodDef ngrams_methods[] = {
    {"ids", (PyCFunction)ngrams_ids, METH_VARARGS, "ids(channel, texts) -> (int32 ids, int64 offsets [n + 1])"},
    {"rows", (PyCFunction)ngrams_rows, METH_NOARGS, "rows() -> rows of each channel, the padding row included"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot ngrams_slots[] = {{Py_tp_new, ngrams_new},
                                     {Py_tp_dealloc, ngrams_dealloc},
                                     {Py_tp_methods, ngrams_methods},
                                     {Py_tp_doc, "Ngrams(table): the vocabulary of an n-gram student (ngrams.bin)"},
                                     {0, NULL}};
static PyType_Spec ngrams_spec = {"edgebert_runtime._core.Ngrams", sizeof(Ngrams), 0, Py_TPFLAGS_DEFAULT, ngrams_slots};

typedef struct {
    eb_channel_kind kind;
    unsigned low, high;
    size_t max_length;
} hashes_context;

static int64_t fill_hashes(const void *context, span text, void *out, size_t capacity) {
    const hashes_context *c = context;
    return eb_ngram_hashes(c->kind, c->low, c->high, c->max_length, text.at, text.bytes, out, capacity);
}

static PyObject *ngram_hashes(PyObject *module, PyObject *arguments) {
    (void)module;
    int kind;
    Py_ssize_t low, high, max_length;
    PyObject *source;
    if (!PyArg_ParseTuple(arguments, "innnO", &kind, &low, &high, &max_length, &source)) return NULL;
    if (kind < 0 || kind > EB_CHARACTERS || low < 1 || high < low || high > EB_MOST_ORDER || max_length < 0) {
        return refuse(EB_BAD_ARGUMENT);
    }
    const hashes_context context = {(eb_channel_kind)kind, (unsigned)low, (unsigned)high, (size_t)max_length};
    return ragged(source, fill_hashes, &context, sizeof(uint64_t));
}

static int64_t fill_words(const void *context, span text, void *out, size_t capacity) {
    (void)context;
    return eb_ngram_words(text.at, text.bytes, out, capacity);
}

static PyObject *ngram_words(PyObject *module, PyObject *source) {
    (void)module;
    return ragged(source, fill_words, NULL, 2 * sizeof(uint32_t));
}

/* ---- the native model --------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    file content;
    void *memory;
    const eb_model *opened;
} Model;

static PyObject *model_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"file", "features", NULL};
    PyObject *source;
    unsigned features;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "OI", names, &source, &features)) return NULL;
    Model *self = (Model *)PyType_GenericAlloc(type, 0);
    if (!self || !file_open(&self->content, source)) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    self->memory = aligned(eb_model_size());
    int status = EB_SMALL_MEMORY;
    if (self->memory) {
        Py_BEGIN_ALLOW_THREADS
        status = eb_model_open(self->memory, eb_model_size(), self->content.at, self->content.bytes, features, &self->opened);
        Py_END_ALLOW_THREADS
    }
    if (status != EB_OK) {
        Py_DECREF(self);
        return refuse(status);
    }
    return (PyObject *)self;
}

static void model_dealloc(Model *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    aligned_free(self->memory);
    file_close(&self->content);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *model_logits(Model *self, PyObject *arguments) {
    PyObject *first, *second;
    texts a, b;
    if (!PyArg_ParseTuple(arguments, "OO", &first, &second)) return NULL;
    if (!pairs_get(first, second, &a, &b)) return NULL;
    const size_t classes = eb_model_classes(self->opened), needed = eb_model_scratch(self->opened);
    PyObject *logits = PyByteArray_FromStringAndSize(NULL, a.count * (Py_ssize_t)(classes * sizeof(float)));
    if (logits) {
        float *out = (float *)(void *)PyByteArray_AsString(logits);
        int status = EB_OK;
        Py_BEGIN_ALLOW_THREADS
        void *scratch = aligned(needed);
        if (!scratch) status = EB_SMALL_MEMORY;
        for (Py_ssize_t i = 0; i < a.count && status == EB_OK; i++) {
            const span second_text = b.spans ? b.spans[i] : (span){NULL, 0};
            status = eb_model_logits(self->opened, a.spans[i].at, a.spans[i].bytes, second_text.at, second_text.bytes,
                                     out + (size_t)i * classes, scratch, needed);
        }
        aligned_free(scratch);
        Py_END_ALLOW_THREADS
        if (status != EB_OK) {
            Py_CLEAR(logits);
            refuse(status);
        }
    }
    texts_release(&a), texts_release(&b);
    return logits;
}

static PyObject *model_facts(Model *self, PyObject *unused) {
    (void)unused;
    return Py_BuildValue("(Ii)", eb_model_classes(self->opened), eb_model_takes_pairs(self->opened));
}

static PyMethodDef model_methods[] = {
    {"logits", (PyCFunction)model_logits, METH_VARARGS, "logits(texts, second texts or None) -> float32 [n, classes]"},
    {"facts", (PyCFunction)model_facts, METH_NOARGS, "facts() -> (classes, takes pairs)"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot model_slots[] = {{Py_tp_new, model_new},
                                    {Py_tp_dealloc, model_dealloc},
                                    {Py_tp_methods, model_methods},
                                    {Py_tp_doc, "Model(file, features): an n-gram student (.ebnn)"},
                                    {0, NULL}};
static PyType_Spec model_spec = {"edgebert_runtime._core.Model", sizeof(Model), 0, Py_TPFLAGS_DEFAULT, model_slots};

/* ---- the module --------------------------------------------------------------------------------------------------- */

static PyObject *features(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    uint32_t found = eb_cpu_features();
#if defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found |= EB_DOTPROD;
#endif
    return PyLong_FromUnsignedLong(found);
}

static PyObject *model_checksum(PyObject *module, PyObject *source) {
    (void)module;
    file f = {0};
    PyObject *sum = file_open(&f, source) ? PyLong_FromUnsignedLongLong(eb_model_checksum(f.at, f.bytes)) : NULL;
    file_close(&f);
    return sum;
}

static PyMethodDef module_methods[] = {
    {"features", features, METH_NOARGS, "features() -> what this processor can do, as a set of bits"},
    {"model_checksum", model_checksum, METH_O, "model_checksum(file) -> what belongs at byte 16 of a .ebnn file"},
    {"ngram_hashes", ngram_hashes, METH_VARARGS,
     "ngram_hashes(kind, low, high, max_length, texts) -> (uint64 hashes, int64 offsets [n + 1]); kind 0 words, 1 characters"},
    {"ngram_words", ngram_words, METH_O, "ngram_words(texts) -> (uint32 byte ranges [m, 2], int64 offsets [n + 1])"},
    {NULL, NULL, 0, NULL}};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    const int result = type ? PyModule_AddObjectRef(module, name, type) : -1;
    Py_XDECREF(type);
    return result;
}

static int module_exec(PyObject *module) {
    if (add_type(module, &wordpiece_spec, "WordPiece") < 0 || add_type(module, &ngrams_spec, "Ngrams") < 0) return -1;
    return add_type(module, &model_spec, "Model");
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_core", "The C core of EdgeBERT: tokenizer, n-grams, n-gram student.", 0, module_methods, module_slots,
    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&module_definition); }
