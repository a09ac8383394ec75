# What the parts of the codec share: a schema compiled for one version, and the CPython calls that work on bare pointers.
#
# A message class has nothing but slots. Op.slot is the offset of a field's slot in the object, so that a field is read
# and written without an attribute look-up. All pointers to Python objects in these structs are borrowed.
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from *:
    """
    #include <structmember.h>

    static inline PyObject** slot_at(PyObject* object, Py_ssize_t offset) {
        return (PyObject**)((char*)object + offset);
    }

    static inline PyObject* new_instance(PyTypeObject* type) { return type->tp_alloc(type, 0); }

    /* Calls of the class go straight to `construct`, without a dict of arguments. */
    static inline void set_constructor(PyTypeObject* type, void* construct) {
        type->tp_vectorcall = (vectorcallfunc)construct;
    }

    /* Offset of a slot made by __slots__, or -1. */
    static inline Py_ssize_t slot_offset(PyObject* descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        PyMemberDef* member = ((PyMemberDescrObject*)descriptor)->d_member;
        return member->type == T_OBJECT_EX ? member->offset : -1;
    }
    """
    PyObject** slot_at(PyObject*, Py_ssize_t) noexcept
    void set_constructor(PyTypeObject*, void*) noexcept
    PyObject* new_instance(PyTypeObject*) noexcept
    Py_ssize_t slot_offset(PyObject*) noexcept

cdef extern from "Python.h":
    PyTypeObject* Py_TYPE(PyObject*) noexcept
    void Py_INCREF(PyObject*) noexcept
    void Py_DECREF(PyObject*) noexcept
    void Py_XDECREF(PyObject*) noexcept
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    bint PyLong_Check(PyObject*) noexcept
    PyObject* PyLong_FromLong(long) noexcept
    PyObject* PyLong_FromLongLong(long long) noexcept
    long long PyLong_AsLongLongAndOverflow(PyObject*, int*) noexcept
    bint PyFloat_Check(PyObject*) noexcept
    double PyFloat_AS_DOUBLE(PyObject*) noexcept
    PyObject* PyFloat_FromDouble(double) noexcept
    bint PyUnicode_Check(PyObject*) noexcept
    const char* PyUnicode_AsUTF8AndSize(PyObject*, Py_ssize_t*) noexcept
    PyObject* PyUnicode_DecodeUTF8(const char*, Py_ssize_t, const char*) noexcept
    PyObject* PyUnicode_AsEncodedString(PyObject*, const char*, const char*) noexcept
    bint PyBytes_Check(PyObject*) noexcept
    char* PyBytes_AS_STRING(PyObject*) noexcept
    Py_ssize_t PyBytes_GET_SIZE(PyObject*) noexcept
    PyObject* PyBytes_FromStringAndSize(const char*, Py_ssize_t) noexcept
    bint PyList_Check(PyObject*) noexcept
    bint PyTuple_Check(PyObject*) noexcept
    PyObject* PyList_New(Py_ssize_t) noexcept
    void PyList_SET_ITEM(PyObject*, Py_ssize_t, PyObject*) noexcept
    Py_ssize_t PySequence_Fast_GET_SIZE(PyObject*) noexcept
    PyObject** PySequence_Fast_ITEMS(PyObject*) noexcept
    int PyObject_RichCompareBool(PyObject*, PyObject*, int) noexcept
    bint PyType_IsSubtype(PyTypeObject*, PyTypeObject*) noexcept
    int PyObject_CheckBuffer(PyObject*) noexcept
    int PyObject_GetBuffer(PyObject*, Py_buffer*, int) noexcept
    void PyBuffer_Release(Py_buffer*) noexcept
    void PyErr_Clear() noexcept
    PyObject* PyErr_Occurred() noexcept
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject*) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject*, Py_ssize_t) noexcept
    Py_ssize_t PyVectorcall_NARGS(size_t) noexcept
    int PyBUF_SIMPLE
    int Py_EQ

cdef enum Kind:
    K_BOOL
    K_INT8
    K_INT16
    K_UINT16
    K_INT32
    K_UINT32
    K_INT64
    K_FLOAT64
    K_UUID
    K_STRING
    K_BYTES
    K_STRUCT
    K_ARRAY

cdef enum Fresh:                # what the default of a field is
    FRESH_VALUE                 # an immutable object, shared
    FRESH_LIST                  # a new empty list
    FRESH_STRUCT                # a new struct of defaults

cdef enum Fault:                # why a message cannot be encoded or decoded
    F_NONE
    F_PYTHON                    # a Python exception is set (out of memory)
    F_TRUNCATED
    F_NULL
    F_TOO_MANY
    F_UNSET
    F_TYPE
    F_RANGE
    F_LONG
    F_ABSENT


cdef struct Op:
    int kind
    int element                 # kind of an array's elements
    bint nullable
    bint ignorable
    int fresh
    int32_t tag
    int64_t element_size        # least number of bytes of an element on the wire
    Py_ssize_t slot
    StructOps* sub
    PyObject* name              # borrowed from the class, which the program keeps
    PyObject* default           # borrowed likewise; only of FRESH_VALUE

cdef struct StructOps:
    PyTypeObject* type
    bint flexible
    int regular                 # ops [0, regular) are on the wire in order,
    int tagged                  # [regular, tagged) in the tagged section by ascending tag,
    int count                   # [tagged, count) are not in this version
    int64_t min_size
    Op* ops


cdef inline PyObject* fresh_value(const Op* op) noexcept:
    if op.fresh == FRESH_VALUE:
        Py_INCREF(op.default)
        return op.default
    if op.fresh == FRESH_LIST:
        return PyList_New(0)
    return fresh_struct(op.sub)


cdef inline PyObject* fresh_struct(const StructOps* ops) noexcept:
    cdef PyObject* self = new_instance(ops.type)
    cdef PyObject* value
    cdef int i
    if self == NULL:
        return NULL
    for i in range(ops.count):
        value = fresh_value(&ops.ops[i])
        if value == NULL:
            Py_DECREF(self)
            return NULL
        slot_at(self, ops.ops[i].slot)[0] = value
    return self
