/* The core as a Python extension, `edgebert_runtime._core`: batches of texts in, arrays out, without the GIL in between.
 *
 * Texts are a sequence of str, or a pair (data, offsets) of buffers as Arrow lays strings out: UTF-8 bytes and int64
 * offsets [n + 1]. Results are bytearrays that numpy.frombuffer reads in place. Only the limited API of 3.11 is used. */
#include "borders.h"

#include <math.h>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static PyObject *features(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    uint32_t found = eb_cpu_features();
#if defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found |= EB_DOTPROD;
#endif
    return PyLong_FromUnsignedLong(found);
}

/* One row of logits as a list of probabilities. */
static PyObject *probabilities(const double *logits, Py_ssize_t classes, double temperature) {
    PyObject *row = PyList_New(classes);
    double largest = classes ? logits[0] : 0, sum = 0;
    for (Py_ssize_t i = 1; i < classes; i++) largest = logits[i] > largest ? logits[i] : largest;
    for (Py_ssize_t i = 0; i < classes; i++) sum += exp((logits[i] - largest) / temperature);
    for (Py_ssize_t i = 0; i < classes && row; i++) {
        PyObject *value = PyFloat_FromDouble(exp((logits[i] - largest) / temperature) / sum);
        if (!value || PyList_SetItem(row, i, value) < 0) Py_CLEAR(row);
    }
    return row;
}

static PyObject *softmax(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer logits;
    Py_ssize_t classes;
    double temperature = 1;
    if (!PyArg_ParseTuple(arguments, "y*n|d", &logits, &classes, &temperature)) return NULL;
    PyObject *rows = NULL;
    const Py_ssize_t size = classes * (Py_ssize_t)sizeof(double);
    if (classes < 1 || classes > INT32_MAX || logits.len % size || !(temperature > 0)) {
        refuse(EB_BAD_ARGUMENT);
    } else {
        rows = PyList_New(logits.len / size);
    }
    for (Py_ssize_t i = 0; rows && i < logits.len / size; i++) {
        PyObject *row = probabilities((const double *)logits.buf + i * classes, classes, temperature);
        if (!row || PyList_SetItem(rows, i, row) < 0) Py_CLEAR(rows);
    }
    PyBuffer_Release(&logits);
    return rows;
}

static PyMethodDef module_methods[] = {
    {"features", features, METH_NOARGS, "features() -> what this processor can do, as a set of bits"},
    {"model_checksum", model_checksum, METH_O, "model_checksum(file) -> what belongs at byte 16 of a .ebnn file"},
    {"ngram_hashes", ngram_hashes, METH_VARARGS,
     "ngram_hashes(kind, low, high, max_length, texts) -> (uint64 hashes, int64 offsets [n + 1]); kind 0 words, 1 characters"},
    {"ngram_words", ngram_words, METH_O, "ngram_words(texts) -> (uint32 byte ranges [m, 2], int64 offsets [n + 1])"},
    {"softmax", softmax, METH_VARARGS,
     "softmax(float64 logits [n, classes], classes, temperature=1.0) -> n lists of probabilities of logits / temperature"},
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
