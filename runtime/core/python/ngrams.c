/* The n-gram featurizer as a Python type, and what needs no vocabulary as functions. */
#include "borders.h"

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
            const size_t guess = t.spans[i].bytes * 8 / item + 64;
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

typedef struct {
    const eb_ngrams *opened;
    unsigned words, characters;
    size_t max_length;
    eb_unit unit;
} words_context;

static int64_t fill_described(const void *context, span text, void *out, size_t capacity) {
    const words_context *c = context;
    const size_t room = capacity < c->max_length ? capacity : c->max_length;
    const int64_t count = eb_ngrams_words(c->opened, c->words, c->characters, text.at, text.bytes, out, room);
    const size_t written = count < 0 ? 0 : (uint64_t)count < room ? (size_t)count : room;
    eb_words_convert(text.at, text.bytes, out, written, c->unit);
    return count > (int64_t)c->max_length ? (int64_t)c->max_length : count;
}

static PyObject *ngrams_words(Ngrams *self, PyObject *arguments) {
    PyObject *source;
    int words, characters, unit = EB_CODE_POINTS;
    Py_ssize_t max_length;
    if (!PyArg_ParseTuple(arguments, "iinO|i", &words, &characters, &max_length, &source, &unit)) return NULL;
    if (words < 0 || characters < 0 || max_length < 0 || unit < EB_BYTES || unit > EB_UTF16) return refuse(EB_BAD_ARGUMENT);
    const words_context context = {self->opened, (unsigned)words, (unsigned)characters, (size_t)max_length, (eb_unit)unit};
    return ragged(source, fill_described, &context, sizeof(eb_word));
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
    {"words", (PyCFunction)ngrams_words, METH_VARARGS,
     "words(words, characters, max_length, texts, unit=1) -> (int32 [m, 16]: start, end, row, 12 rows of characters, shape; int64\n"
     "offsets [n + 1]); units: 0 bytes, 1 code points, 2 UTF-16"},
    {"rows", (PyCFunction)ngrams_rows, METH_NOARGS, "rows() -> rows of each channel, the padding row included"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot ngrams_slots[] = {{Py_tp_new, ngrams_new},
                                     {Py_tp_dealloc, ngrams_dealloc},
                                     {Py_tp_methods, ngrams_methods},
                                     {Py_tp_doc, "Ngrams(table): the vocabulary of an n-gram student (ngrams.bin)"},
                                     {0, NULL}};
PyType_Spec ngrams_spec = {"edgebert_runtime._core.Ngrams", sizeof(Ngrams), 0, Py_TPFLAGS_DEFAULT, ngrams_slots};

typedef struct {
    eb_channel_kind kind;
    unsigned low, high;
    size_t max_length;
} hashes_context;

static int64_t fill_hashes(const void *context, span text, void *out, size_t capacity) {
    const hashes_context *c = context;
    return eb_ngram_hashes(c->kind, c->low, c->high, c->max_length, text.at, text.bytes, out, capacity);
}

PyObject *ngram_hashes(PyObject *module, PyObject *arguments) {
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

PyObject *ngram_words(PyObject *module, PyObject *source) {
    (void)module;
    return ragged(source, fill_words, NULL, 2 * sizeof(uint32_t));
}
