/* WordPiece as a Python type. */
#include "borders.h"

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
PyType_Spec wordpiece_spec = {"edgebert_runtime._core.WordPiece", sizeof(WordPiece), 0, Py_TPFLAGS_DEFAULT,
                                     wordpiece_slots};
