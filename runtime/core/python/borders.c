/* See borders.h. */
#include "borders.h"

#include <string.h>

/* ---- texts ------------------------------------------------------------------------------------------------------ */

void texts_release(texts *t) {
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

bool texts_get(PyObject *source, texts *t) {
    memset(t, 0, sizeof *t);
    if (is_arrow(source) ? texts_from_arrow(source, t) : texts_from_sequence(source, t)) return true;
    texts_release(t);
    return false;
}

bool pairs_get(PyObject *first, PyObject *second, texts *a, texts *b) {
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

/* The pointer to free lies in front. */
void *aligned(size_t size) {
    uint8_t *raw = malloc(size + EB_ALIGNMENT + sizeof(void *));
    if (!raw) return NULL;
    const uintptr_t at = ((uintptr_t)raw + sizeof(void *) + EB_ALIGNMENT - 1) / EB_ALIGNMENT * EB_ALIGNMENT;
    memcpy((uint8_t *)at - sizeof(void *), &raw, sizeof raw);
    return (void *)at;
}

void aligned_free(void *memory) {
    if (!memory) return;
    void *raw;
    memcpy(&raw, (uint8_t *)memory - sizeof(void *), sizeof raw);
    free(raw);
}

bool array_reserve(array *a, size_t more) {
    if (a->room - a->used >= more) return true;
    size_t room = a->room * 2 > a->used + more ? a->room * 2 : a->used + more;
    uint8_t *grown = realloc(a->at, room);
    if (!grown) return false;
    a->at = grown, a->room = room;
    return true;
}

PyObject *array_take(array *a) {
    PyObject *taken = PyByteArray_FromStringAndSize((const char *)a->at, (Py_ssize_t)a->used);
    free(a->at);
    memset(a, 0, sizeof *a);
    return taken;
}

PyObject *refuse(int64_t status) {
    if (status == EB_SMALL_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, eb_message((int)status));
    return NULL;
}

bool file_open(file *f, PyObject *source) {
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

void file_close(file *f) {
    aligned_free(f->copy);
    if (f->view.obj) PyBuffer_Release(&f->view);
}
