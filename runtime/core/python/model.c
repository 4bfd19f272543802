/* The n-gram student as a Python type. */
#include "borders.h"

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
PyType_Spec model_spec = {"edgebert_runtime._core.Model", sizeof(Model), 0, Py_TPFLAGS_DEFAULT, model_slots};

PyObject *model_checksum(PyObject *module, PyObject *source) {
    (void)module;
    file f = {0};
    PyObject *sum = file_open(&f, source) ? PyLong_FromUnsignedLongLong(eb_model_checksum(f.at, f.bytes)) : NULL;
    file_close(&f);
    return sum;
}
