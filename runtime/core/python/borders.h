/* What crosses between Python and the core: texts and files in, arrays and errors out. */
#ifndef EDGEBERT_BORDERS_H
#define EDGEBERT_BORDERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdlib.h>

#include "edgebert.h"

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

/* Fills `t`; on failure an exception is set and there is nothing to release. */
bool texts_get(PyObject *source, texts *t);

/* Texts and, unless `second` is None, as many second texts. */
bool pairs_get(PyObject *first, PyObject *second, texts *a, texts *b);

void texts_release(texts *t);

/* Memory aligned as the core wants it, null when there is none; to be freed by aligned_free alone. */
void *aligned(size_t size);
void aligned_free(void *memory);

/* An array that grows; works without the GIL. */
typedef struct array {
    uint8_t *at;
    size_t used, room; /* bytes */
} array;

/* Makes room for so many more bytes; false when there is no memory. */
bool array_reserve(array *a, size_t more);

/* The array as a bytearray; it is empty afterwards. */
PyObject *array_take(array *a);

/* Raises what a negative result of the core means; returns null. */
PyObject *refuse(int64_t status);

/* A file's bytes, kept as long as the handle; copied when they lie at an odd address. */
typedef struct file {
    Py_buffer view;
    void *copy;
    const uint8_t *at;
    size_t bytes;
} file;

/* On failure an exception is set; file_close is right in any case. */
bool file_open(file *f, PyObject *source);
void file_close(file *f);

/* The types and functions of the module, a file each. */
extern PyType_Spec wordpiece_spec, ngrams_spec, model_spec;
PyObject *ngram_hashes(PyObject *module, PyObject *arguments);
PyObject *ngram_words(PyObject *module, PyObject *source);
PyObject *model_checksum(PyObject *module, PyObject *source);

#endif
