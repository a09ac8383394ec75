# cython: auto_pickle=False
"""Encodes and decodes every API message, driven by the schemas of wire/schemas.

A Program is a schema compiled for one version: an array of small C structs (Op) for each struct, which names the slot of
the Python object, the wire kind and the default. Objects are read and written slot by slot, without attribute look-ups.
"""

import sys

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport INT32_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

from pyralog._speedups.cursor cimport (
    MAX_TAGS,
    Cursor,
    Span,
    be16,
    be32,
    be64,
    cursor_init,
    read_bytes,
    read_count,
    read_i8,
    read_i16,
    read_i32,
    read_i64,
    read_string,
    read_uvarint,
    skip_tags,
    take,
)

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

# All elements of all arrays of one message. Kafka caps each array only; this bounds the memory that nested arrays in
# one frame may turn into.
cdef enum:
    MAX_TOTAL_ELEMENTS = 2000000

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

cdef dict _FAULTS = {
    F_TRUNCATED: "is cut short, or its length is not possible",
    F_NULL: "must not be null",
    F_TOO_MANY: "has too many elements",
    F_UNSET: "is not set",
    F_TYPE: "has a value of the wrong type",
    F_RANGE: "is out of range",
    F_LONG: "is too long",
    F_ABSENT: "is set, but the version has no such field",
}

cdef dict _KINDS = {
    "bool": K_BOOL,
    "int8": K_INT8,
    "int16": K_INT16,
    "uint16": K_UINT16,
    "int32": K_INT32,
    "uint32": K_UINT32,
    "int64": K_INT64,
    "float64": K_FLOAT64,
    "uuid": K_UUID,
    "string": K_STRING,
    "bytes": K_BYTES,
    "records": K_BYTES,
    "struct": K_STRUCT,
}


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

cdef struct Decoder:
    Cursor c
    int64_t elements
    int fault
    const StructOps* at
    const Op* op

cdef struct Writer:
    uint8_t* start
    uint8_t* p
    uint8_t* end
    bint heap
    int fault
    const StructOps* at
    const Op* op


class ProtocolError(ValueError):
    """Bytes from the wire that are not the message they claim to be."""


class EncodeError(ValueError):
    """A message that its version cannot carry: a value out of range, of the wrong type, or in a field of other versions."""


# ---------------------------------------------------------------- decoding

cdef inline PyObject* fresh_value(const Op* op) noexcept:
    if op.fresh == FRESH_VALUE:
        Py_INCREF(op.default)
        return op.default
    if op.fresh == FRESH_LIST:
        return PyList_New(0)
    return fresh_struct(op.sub)


cdef PyObject* fresh_struct(const StructOps* ops) noexcept:
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


cdef PyObject* fail_decode(Decoder* d, const StructOps* at, const Op* op, int fault) noexcept:
    """Notes the first fault, innermost field first."""
    if d.fault == F_NONE:
        d.fault = fault
        d.at = at
        d.op = op
    return NULL


cdef inline PyObject* decode_string(Cursor* c, bint flexible) noexcept:
    """NULL also for null: the caller looks at the cursor. Invalid UTF-8 is replaced, as Java does."""
    cdef Span span = read_string(c, flexible)
    if span.data == NULL:
        return NULL
    return PyUnicode_DecodeUTF8(<const char*>span.data, span.size, "replace")


cdef inline PyObject* decode_bytes(Cursor* c, bint flexible) noexcept:
    cdef Span span = read_bytes(c, flexible)
    if span.data == NULL:
        return NULL
    return PyBytes_FromStringAndSize(<const char*>span.data, span.size)


cdef inline PyObject* decode_float(Cursor* c) noexcept:
    cdef int64_t raw = read_i64(c)
    cdef double value
    memcpy(&value, &raw, 8)
    return PyFloat_FromDouble(value)


cdef inline PyObject* decode_scalar(Cursor* c, int kind, bint flexible) noexcept:
    """The next value of the kind. When the cursor goes bad the result is NULL or a throw-away value."""
    cdef PyObject* value
    cdef const uint8_t* raw
    if kind == K_INT32:
        return PyLong_FromLong(read_i32(c))
    if kind == K_STRING:
        return decode_string(c, flexible)
    if kind == K_INT16:
        return PyLong_FromLong(read_i16(c))
    if kind == K_INT64:
        return PyLong_FromLongLong(read_i64(c))
    if kind == K_INT8:
        return PyLong_FromLong(read_i8(c))
    if kind == K_BOOL:
        value = Py_True if read_i8(c) != 0 else Py_False
        Py_INCREF(value)
        return value
    if kind == K_UUID:
        raw = take(c, 16)
        return PyBytes_FromStringAndSize(<const char*>raw, 16) if raw != NULL else NULL
    if kind == K_BYTES:
        return decode_bytes(c, flexible)
    if kind == K_UINT16:
        return PyLong_FromLong(<uint16_t>read_i16(c))
    if kind == K_UINT32:
        return PyLong_FromLongLong(<uint32_t>read_i32(c))
    return decode_float(c)


cdef PyObject* decode_array(Decoder* d, const StructOps* at, const Op* op) noexcept:
    cdef int64_t count = read_count(&d.c, at.flexible, op.element_size)
    cdef int64_t i
    cdef PyObject* items
    cdef PyObject* value
    if count < 0 or d.c.bad:
        return NULL
    d.elements += count
    if d.elements > MAX_TOTAL_ELEMENTS:
        return fail_decode(d, at, op, F_TOO_MANY)
    items = PyList_New(count)
    if items == NULL:
        return NULL
    for i in range(count):
        if op.element == K_STRUCT:
            value = decode_struct(d, op.sub)
        else:
            value = decode_scalar(&d.c, op.element, at.flexible)
            if value == NULL and not d.c.bad and PyErr_Occurred() == NULL:
                fail_decode(d, at, op, F_NULL)
        if value == NULL:
            Py_DECREF(items)
            return NULL
        PyList_SET_ITEM(items, i, value)
    return items


cdef inline PyObject* decode_value(Decoder* d, const StructOps* at, const Op* op) noexcept:
    """The field's value as a new reference; NULL when it cannot be had, with the reason noted in `d`."""
    cdef PyObject* value = NULL
    if op.kind == K_ARRAY:
        value = decode_array(d, at, op)
    elif op.kind != K_STRUCT:
        value = decode_scalar(&d.c, op.kind, at.flexible)
    elif not op.nullable or read_i8(&d.c) >= 0:
        value = decode_struct(d, op.sub)
    if d.c.bad:
        Py_XDECREF(value)
        return fail_decode(d, at, op, F_TRUNCATED)
    if value != NULL or d.fault != F_NONE:
        return value
    if PyErr_Occurred() != NULL:
        return fail_decode(d, at, op, F_PYTHON)
    if not op.nullable:
        return fail_decode(d, at, op, F_NULL)
    Py_INCREF(Py_None)
    return Py_None


cdef PyObject* decode_struct(Decoder* d, const StructOps* ops) noexcept:
    cdef PyObject* self = new_instance(ops.type)
    cdef PyObject* value
    cdef int i
    if self == NULL:
        return fail_decode(d, ops, ops.ops, F_PYTHON)
    for i in range(ops.count):
        value = decode_value(d, ops, &ops.ops[i]) if i < ops.regular else fresh_value(&ops.ops[i])
        if value == NULL:
            if i >= ops.regular:
                fail_decode(d, ops, &ops.ops[i], F_PYTHON)
            Py_DECREF(self)
            return NULL
        slot_at(self, ops.ops[i].slot)[0] = value
    if ops.flexible:
        if ops.regular == ops.tagged:
            skip_tags(&d.c)
        else:
            decode_tags(d, ops, self)
        if d.c.bad or d.fault != F_NONE:
            fail_decode(d, ops, NULL, F_TRUNCATED)
            Py_DECREF(self)
            return NULL
    return self


cdef void decode_tags(Decoder* d, const StructOps* ops, PyObject* self) noexcept:
    """Reads the tagged section of a struct whose version has tagged fields; a repeated tag wins, an unknown one passes."""
    cdef uint64_t left = read_uvarint(&d.c)
    cdef uint64_t tag
    cdef int64_t size
    cdef const uint8_t* field
    cdef const uint8_t* end = d.c.end
    cdef PyObject* value
    cdef PyObject** slot
    cdef int i
    if left > MAX_TAGS:
        d.c.bad = True
    while left > 0 and not d.c.bad:
        left -= 1
        tag = read_uvarint(&d.c)
        size = <int64_t>read_uvarint(&d.c)
        field = take(&d.c, size)
        if field == NULL:
            return
        for i in range(ops.regular, ops.tagged):
            if <uint64_t>ops.ops[i].tag == tag:
                cursor_init(&d.c, field, size)
                value = decode_value(d, ops, &ops.ops[i])
                if value == NULL:
                    return
                slot = slot_at(self, ops.ops[i].slot)
                Py_DECREF(slot[0])
                slot[0] = value
                cursor_init(&d.c, field + size, end - field - size)
                break


# ---------------------------------------------------------------- encoding

cdef int fail_encode(Writer* w, const StructOps* at, const Op* op, int fault) noexcept:
    if w.fault == F_NONE:
        w.fault = fault
        w.at = at
        w.op = op
    return -1


cdef bint grow(Writer* w, int64_t size) noexcept:
    """Makes room for `size` more bytes; False when out of memory."""
    cdef int64_t used = w.p - w.start
    cdef int64_t room = (used + size) * 2
    cdef uint8_t* fresh
    if w.heap:
        fresh = <uint8_t*>PyMem_Realloc(w.start, room)
    else:
        fresh = <uint8_t*>PyMem_Malloc(room)
        if fresh != NULL:
            memcpy(fresh, w.start, used)
    if fresh == NULL:
        return False
    w.heap = True
    w.start = fresh
    w.p = fresh + used
    w.end = fresh + room
    return True


cdef inline bint reserve(Writer* w, int64_t size) noexcept:
    return w.end - w.p >= size or grow(w, size)


cdef inline void put_uvarint(Writer* w, uint64_t value) noexcept:
    """The caller has reserved 5 bytes."""
    while value >= 0x80:
        w.p[0] = <uint8_t>(value | 0x80)
        w.p += 1
        value >>= 7
    w.p[0] = <uint8_t>value
    w.p += 1


cdef inline void put_size(Writer* w, int64_t size, bint flexible, bint wide) noexcept:
    """Length of a string (wide False), of bytes or of an array; -1 for null. The caller has reserved 5 bytes."""
    cdef uint32_t four
    cdef uint16_t two
    if flexible:
        put_uvarint(w, <uint64_t>(size + 1))
    elif wide:
        four = be32(<uint32_t><int32_t>size)
        memcpy(w.p, &four, 4)
        w.p += 4
    else:
        two = be16(<uint16_t><int16_t>size)
        memcpy(w.p, &two, 2)
        w.p += 2


cdef inline int put_data(Writer* w, const void* data, int64_t size, bint flexible, bint wide) noexcept:
    if size > (INT32_MAX - 1 if wide else 32767):
        return F_LONG
    if not reserve(w, size + 5):
        return F_PYTHON
    put_size(w, size, flexible, wide)
    memcpy(w.p, data, size)
    w.p += size
    return F_NONE


cdef int put_string(Writer* w, PyObject* value, bint flexible) noexcept:
    cdef Py_ssize_t size = 0
    cdef const char* text
    cdef PyObject* raw
    cdef int fault
    if not PyUnicode_Check(value):
        return F_TYPE
    text = PyUnicode_AsUTF8AndSize(value, &size)
    if text != NULL:
        return put_data(w, text, size, flexible, False)
    PyErr_Clear()                                       # lone surrogates become "?", as Java has it
    raw = PyUnicode_AsEncodedString(value, "utf-8", "replace")
    if raw == NULL:
        return F_PYTHON
    fault = put_data(w, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), flexible, False)
    Py_DECREF(raw)
    return fault


cdef int put_bytes(Writer* w, PyObject* value, bint flexible) noexcept:
    cdef Py_buffer view
    cdef int fault
    if PyBytes_Check(value):
        return put_data(w, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), flexible, True)
    if not PyObject_CheckBuffer(value):
        return F_TYPE
    if PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0:
        return F_PYTHON
    fault = put_data(w, view.buf, view.len, flexible, True)
    PyBuffer_Release(&view)
    return fault


cdef inline int put_int(Writer* w, PyObject* value, int kind) noexcept:
    cdef int overflow = 0
    cdef int64_t number
    cdef uint64_t eight
    cdef uint32_t four
    cdef uint16_t two
    if not PyLong_Check(value):
        return F_TYPE
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or not reserve(w, 8):
        return F_RANGE if overflow else F_PYTHON
    if kind == K_INT32 or kind == K_UINT32:
        if number != (<int64_t><int32_t>number if kind == K_INT32 else <int64_t><uint32_t>number):
            return F_RANGE
        four = be32(<uint32_t>number)
        memcpy(w.p, &four, 4)
        w.p += 4
    elif kind == K_INT64:
        eight = be64(<uint64_t>number)
        memcpy(w.p, &eight, 8)
        w.p += 8
    elif kind == K_INT16 or kind == K_UINT16:
        if number != (<int64_t><int16_t>number if kind == K_INT16 else <int64_t><uint16_t>number):
            return F_RANGE
        two = be16(<uint16_t>number)
        memcpy(w.p, &two, 2)
        w.p += 2
    else:
        if number != <int64_t><int8_t>number:
            return F_RANGE
        w.p[0] = <uint8_t>number
        w.p += 1
    return F_NONE


cdef int put_other(Writer* w, PyObject* value, int kind) noexcept:
    """bool, float64, uuid."""
    cdef uint64_t eight
    cdef double number
    if not reserve(w, 16):
        return F_PYTHON
    if kind == K_BOOL:
        if value != Py_True and value != Py_False:
            return F_TYPE
        w.p[0] = value == Py_True
        w.p += 1
    elif kind == K_UUID:
        if not PyBytes_Check(value) or PyBytes_GET_SIZE(value) != 16:
            return F_TYPE
        memcpy(w.p, PyBytes_AS_STRING(value), 16)
        w.p += 16
    else:
        if not PyFloat_Check(value):
            return F_TYPE
        number = PyFloat_AS_DOUBLE(value)
        memcpy(&eight, &number, 8)
        eight = be64(eight)
        memcpy(w.p, &eight, 8)
        w.p += 8
    return F_NONE


cdef inline int put_scalar(Writer* w, PyObject* value, int kind, bint flexible) noexcept:
    if kind == K_STRING:
        return put_string(w, value, flexible)
    if kind == K_BYTES:
        return put_bytes(w, value, flexible)
    if kind == K_BOOL or kind == K_UUID or kind == K_FLOAT64:
        return put_other(w, value, kind)
    return put_int(w, value, kind)


cdef int encode_array(Writer* w, const StructOps* at, const Op* op, PyObject* value) noexcept:
    cdef PyObject** items
    cdef Py_ssize_t i, count
    cdef int fault
    if not PyList_Check(value) and not PyTuple_Check(value):
        return fail_encode(w, at, op, F_TYPE)
    count = PySequence_Fast_GET_SIZE(value)
    items = PySequence_Fast_ITEMS(value)
    if count >= INT32_MAX:
        return fail_encode(w, at, op, F_LONG)
    if not reserve(w, 5):
        return fail_encode(w, at, op, F_PYTHON)
    put_size(w, count, at.flexible, True)
    for i in range(count):
        if op.element == K_STRUCT:
            if encode_struct(w, op.sub, items[i]) < 0:
                return fail_encode(w, at, op, F_TYPE)
        else:
            fault = put_scalar(w, items[i], op.element, at.flexible)
            if fault != F_NONE:
                return fail_encode(w, at, op, F_NULL if items[i] == Py_None else fault)
    return 0


cdef int encode_null(Writer* w, const StructOps* at, const Op* op) noexcept:
    if not op.nullable:
        return fail_encode(w, at, op, F_NULL)
    if not reserve(w, 5):
        return fail_encode(w, at, op, F_PYTHON)
    if op.kind == K_STRUCT:
        w.p[0] = 0xFF
        w.p += 1
    else:
        put_size(w, -1, at.flexible, op.kind != K_STRING)
    return 0


cdef inline int encode_value(Writer* w, const StructOps* at, const Op* op, PyObject* value) noexcept:
    cdef int fault
    if value == NULL:
        return fail_encode(w, at, op, F_UNSET)
    if value == Py_None:
        return encode_null(w, at, op)
    if op.kind == K_ARRAY:
        return encode_array(w, at, op, value)
    if op.kind == K_STRUCT:
        if op.nullable:
            if not reserve(w, 1):
                return fail_encode(w, at, op, F_PYTHON)
            w.p[0] = 1
            w.p += 1
        return 0 if encode_struct(w, op.sub, value) == 0 else fail_encode(w, at, op, F_TYPE)
    fault = put_scalar(w, value, op.kind, at.flexible)
    return 0 if fault == F_NONE else fail_encode(w, at, op, fault)


cdef int is_default(const Op* op, PyObject* value) noexcept:
    """1 or 0; -1 with a Python exception set when the comparison raised."""
    cdef int i, same
    if value == NULL:
        return 0
    if op.fresh == FRESH_VALUE:
        return 1 if value == op.default else PyObject_RichCompareBool(value, op.default, Py_EQ)
    if op.fresh == FRESH_LIST:
        return (PyList_Check(value) or PyTuple_Check(value)) and PySequence_Fast_GET_SIZE(value) == 0
    if Py_TYPE(value) != op.sub.type:
        return 0
    for i in range(op.sub.count):
        same = is_default(&op.sub.ops[i], slot_at(value, op.sub.ops[i].slot)[0])
        if same != 1:
            return same
    return 1


cdef int encode_tag(Writer* w, const StructOps* at, const Op* op, PyObject* value) noexcept:
    """Tag, size, value: the size is put in front of the value once it is known."""
    cdef int64_t start, size
    cdef uint8_t head[5]
    cdef Writer sized
    if not reserve(w, 10):
        return fail_encode(w, at, op, F_PYTHON)
    put_uvarint(w, <uint64_t>op.tag)
    start = w.p - w.start
    if encode_value(w, at, op, value) < 0:
        return -1
    size = w.p - w.start - start
    if not reserve(w, 5):
        return fail_encode(w, at, op, F_PYTHON)
    sized.p = head
    put_uvarint(&sized, <uint64_t>size)
    memmove(w.start + start + (sized.p - head), w.start + start, size)
    memcpy(w.start + start, head, sized.p - head)
    w.p += sized.p - head
    return 0


cdef int encode_tags(Writer* w, const StructOps* ops, PyObject* self) noexcept:
    cdef uint64_t present = 0
    cdef int i, same, count = 0
    for i in range(ops.regular, ops.tagged):
        same = is_default(&ops.ops[i], slot_at(self, ops.ops[i].slot)[0])
        if same < 0:
            return fail_encode(w, ops, &ops.ops[i], F_PYTHON)
        if same == 0:
            present |= <uint64_t>1 << (i - ops.regular)
            count += 1
    if not reserve(w, 5):
        return fail_encode(w, ops, ops.ops, F_PYTHON)
    put_uvarint(w, <uint64_t>count)
    for i in range(ops.regular, ops.tagged):
        if present >> (i - ops.regular) & 1:
            if encode_tag(w, ops, &ops.ops[i], slot_at(self, ops.ops[i].slot)[0]) < 0:
                return -1
    return 0


cdef int encode_struct(Writer* w, const StructOps* ops, PyObject* self) noexcept:
    """0, or -1 with the fault noted; -1 without a fault when `self` is not of the struct's class."""
    cdef const Op* op
    cdef int i, same
    if Py_TYPE(self) != ops.type and not PyType_IsSubtype(Py_TYPE(self), ops.type):
        return -1
    for i in range(ops.regular):
        op = &ops.ops[i]
        if encode_value(w, ops, op, slot_at(self, op.slot)[0]) < 0:
            return -1
    for i in range(ops.tagged, ops.count):
        op = &ops.ops[i]
        if not op.ignorable:
            same = is_default(op, slot_at(self, op.slot)[0])
            if same != 1:
                return fail_encode(w, ops, op, F_PYTHON if same < 0 else F_ABSENT)
    return encode_tags(w, ops, self) if ops.flexible else 0


# ---------------------------------------------------------------- Python's side

@cython.final
cdef class Layout:
    """What a message class must know of its slots: names, offsets, defaults."""

    cdef readonly tuple names
    cdef readonly tuple defaults        # of fields: a shared value, list, or the class of a struct
    cdef dict index
    cdef StructOps ops                  # all fields in order; only name, slot, fresh, default and sub count
    cdef tuple _subs

    def __cinit__(self, type cls not None, tuple names not None, tuple defaults not None):
        cdef Op* op
        cdef Layout sub
        cdef list subs = []
        names = tuple([sys.intern(name) for name in names])     # as keyword names are, so pointers can be compared
        self.names = names
        self.defaults = defaults
        self.index = {name: i for i, name in enumerate(names)}
        self.ops.ops = <Op*>calloc(max(len(names), 1), sizeof(Op))
        if self.ops.ops == NULL:
            raise MemoryError
        self.ops.type = <PyTypeObject*>cls      # the class owns the layout
        self.ops.count = len(names)
        for i, name in enumerate(names):
            op = &self.ops.ops[i]
            descriptor = cls.__dict__[name]
            op.slot = slot_offset(<PyObject*>descriptor)
            if op.slot < 0:
                raise TypeError(f"{cls.__name__}.{name} is not a slot")
            default = defaults[i]
            op.name = <PyObject*>name
            op.fresh = FRESH_VALUE
            op.default = <PyObject*>default
            if default is list:
                op.fresh = FRESH_LIST
            elif isinstance(default, type):
                sub = default._layout
                subs.append(sub)
                op.fresh = FRESH_STRUCT
                op.sub = &sub.ops
        self._subs = tuple(subs)

    def __dealloc__(self):
        free(self.ops.ops)


cdef inline Layout layout_of(object message):
    return <Layout>type(message)._layout


cdef Py_ssize_t set_field(Layout layout, PyObject* me, PyObject* name, PyObject* value, Py_ssize_t hint) except -1:
    """Sets the field of this name, looked for first at `hint`, and returns the index of the one behind it."""
    cdef PyObject** slot
    if hint >= layout.ops.count or layout.ops.ops[hint].name != name:
        found = layout.index.get(<object>name)
        if found is None:
            raise TypeError(f"{(<type><PyObject*>layout.ops.type).__name__} has no field {<object>name!r}")
        hint = found
    slot = slot_at(me, layout.ops.ops[hint].slot)
    Py_INCREF(value)
    Py_XDECREF(slot[0])
    slot[0] = value
    return hint + 1


cdef int fill(Layout layout, PyObject* me) except -1:
    """Gives every field that is not set its default."""
    cdef PyObject** slot
    cdef Py_ssize_t i
    for i in range(layout.ops.count):
        slot = slot_at(me, layout.ops.ops[i].slot)
        if slot[0] == NULL:
            slot[0] = fresh_value(&layout.ops.ops[i])
            if slot[0] == NULL:
                raise MemoryError
    return 0


cdef PyObject* construct(PyObject* cls, PyObject** args, size_t flags, PyObject* names) except NULL:
    """Vectorcall of a message class: keyword arguments only, as a rule in the order of the fields."""
    cdef Layout layout = <Layout>(<type>cls)._layout
    cdef Py_ssize_t i, hint = 0
    cdef PyObject* me
    if PyVectorcall_NARGS(flags) != 0:
        raise TypeError(f"{(<type>cls).__name__} takes keyword arguments only")
    me = new_instance(<PyTypeObject*>cls)
    if me == NULL:
        raise MemoryError
    try:
        if names != NULL:
            for i in range(PyTuple_GET_SIZE(names)):
                hint = set_field(layout, me, PyTuple_GET_ITEM(names, i), args[i], hint)
        fill(layout, me)
    except:
        Py_DECREF(me)
        raise
    return me


cdef class Message:
    """Base of all message and struct classes, which have nothing but __slots__ and a `_layout`."""

    __hash__ = None

    def __init__(self, **fields):
        cdef Layout layout = layout_of(self)
        for name, value in fields.items():
            set_field(layout, <PyObject*>self, <PyObject*>name, <PyObject*>value, 0)
        fill(layout, <PyObject*>self)

    def __eq__(self, other):
        cdef Layout layout
        cdef Py_ssize_t i
        if type(self) is not type(other):
            return NotImplemented
        layout = layout_of(self)
        for name in layout.names:
            if getattr(self, name, None) != getattr(other, name, None):
                return False
        return True

    def __repr__(self):
        cdef Layout layout = layout_of(self)
        fields = ", ".join([f"{name}={getattr(self, name, None)!r}" for name in layout.names])
        return f"{type(self).__name__}({fields})"


def define(type cls not None, tuple names not None, tuple defaults not None):
    """Gives a Message subclass its layout. Defaults: an immutable value, `list`, or a defined struct class."""
    cls._layout = Layout(cls, names, defaults)
    set_constructor(<PyTypeObject*>cls, <void*>construct)


@cython.final
cdef class Program:
    """A message schema compiled for one version.

    `spec` is a wire.schema.StructSpec; `classes` maps struct names to Message classes.
    """

    cdef StructOps* _root
    cdef list _keep
    cdef list _allocated                # addresses of StructOps
    cdef readonly str name

    def __cinit__(self, spec, classes, int version, bint flexible):
        self._keep = []
        self._allocated = []
        self.name = f"{spec.name} v{version}"
        self._root = self._compile(spec, classes, version, flexible, {})

    def __dealloc__(self):
        cdef StructOps* ops
        for address in self._allocated or ():
            ops = <StructOps*><size_t>address
            free(ops.ops)
            free(ops)

    cdef StructOps* _compile(self, spec, classes, int version, bint flexible, dict known) except NULL:
        cdef StructOps* ops
        cdef Layout layout
        cdef int i = 0
        if spec.name in known:
            return <StructOps*><size_t>known[spec.name]
        cls = classes[spec.name]
        layout = cls._layout
        ops = <StructOps*>calloc(1, sizeof(StructOps))
        if ops == NULL:
            raise MemoryError
        known[spec.name] = <size_t>ops
        self._allocated.append(<size_t>ops)
        self._keep.append(cls)
        ops.ops = <Op*>calloc(max(len(spec.fields), 1), sizeof(Op))
        if ops.ops == NULL:
            raise MemoryError
        ops.type = <PyTypeObject*>cls
        ops.flexible = flexible
        present = [f for f in spec.fields if f.versions[0] <= version <= f.versions[1]]
        absent = [f for f in spec.fields if not f.versions[0] <= version <= f.versions[1]]
        regular = [f for f in present if f.tag < 0]
        tagged = sorted([f for f in present if f.tag >= 0], key=lambda f: f.tag)
        ops.regular = len(regular)
        ops.tagged = ops.regular + len(tagged)
        ops.count = len(spec.fields)
        if len(tagged) > 64 or (tagged and not flexible):
            raise ValueError(f"{spec.name}: tagged fields need a flexible version, and at most 64")
        for i, field in enumerate(regular + tagged + absent):
            self._compile_field(&ops.ops[i], layout, field, classes, version, flexible, known)
        ops.min_size = flexible
        for i in range(ops.regular):
            ops.min_size += least_size(&ops.ops[i], flexible)
        return ops

    cdef int _compile_field(self, Op* op, Layout layout, field, classes, int version, bint flexible,
                            dict known) except -1:
        cdef Op* model = &layout.ops.ops[<Py_ssize_t>layout.index[field.name]]
        op.kind = _KINDS[field.type]
        op.slot = model.slot
        op.fresh = model.fresh
        op.default = model.default
        op.tag = field.tag
        op.ignorable = field.ignorable
        op.nullable = field.nullable[0] <= version <= field.nullable[1]
        op.name = model.name
        if field.struct is not None:
            op.sub = self._compile(field.struct, classes, version, flexible, known)
        if field.array:
            op.element = op.kind
            op.element_size = max(least_size(op, flexible), 1)
            op.kind = K_ARRAY
        return 0

    def decode(self, data not None, Py_ssize_t offset=0):
        """The message at `offset` of a bytes-like object; bytes behind it are ignored. Raises ProtocolError."""
        return self.decode_from(data, offset)[0]

    def decode_from(self, data not None, Py_ssize_t offset=0):
        """As decode, and the offset of the first byte behind the message."""
        cdef Py_buffer view
        cdef Decoder d
        cdef PyObject* found
        cdef int collecting
        if PyObject_GetBuffer(<PyObject*>data, &view, PyBUF_SIMPLE) < 0:
            PyErr_Clear()
            raise TypeError("a bytes-like object is required")
        if offset < 0 or offset > view.len:
            PyBuffer_Release(&view)
            raise ProtocolError(f"{self.name}: offset {offset} is outside the data")
        cursor_init(&d.c, <const uint8_t*>view.buf + offset, view.len - offset)
        d.elements = 0
        d.fault = F_NONE
        # Only new objects that cannot be garbage yet: a collection every 700 of them would double the time.
        collecting = PyGC_Disable()
        found = decode_struct(&d, self._root)
        if collecting:
            PyGC_Enable()
        end = d.c.p - <const uint8_t*>view.buf
        PyBuffer_Release(&view)
        if found == NULL:
            if PyErr_Occurred() != NULL:
                PyErr_Clear()
                raise MemoryError
            raise ProtocolError(self._explain(d.fault, d.at, d.op))
        message = <object>found
        Py_DECREF(found)
        return message, end

    def encode(self, message not None, bytes prefix=b""):
        """The bytes of the message, behind `prefix`. Raises EncodeError."""
        cdef uint8_t room[1024]
        cdef Writer w
        cdef int done
        w.start = w.p = room
        w.end = room + sizeof(room)
        w.heap = False
        w.fault = F_NONE
        w.at = self._root
        w.op = NULL
        try:
            if not reserve(&w, len(prefix)):
                raise MemoryError
            memcpy(w.p, <const char*>prefix, len(prefix))
            w.p += len(prefix)
            if encode_struct(&w, self._root, <PyObject*>message) < 0:
                self._raise_encode(&w, message)
            return (<char*>w.start)[:w.p - w.start]
        finally:
            if w.heap:
                PyMem_Free(w.start)

    cdef int _raise_encode(self, Writer* w, message) except -1:
        if PyErr_Occurred() != NULL:
            return -1
        if w.fault == F_PYTHON:
            raise MemoryError
        if w.fault == F_NONE:
            raise EncodeError(f"{self.name}: cannot encode a {type(message).__name__}")
        raise EncodeError(self._explain(w.fault, w.at, w.op))

    cdef str _explain(self, int fault, const StructOps* at, const Op* op):
        where = (<type><PyObject*>at.type).__name__
        field = f".{<object>op.name}" if op != NULL else ""
        return f"{self.name}: {where}{field} {_FAULTS[fault]}"


cdef int64_t least_size(const Op* op, bint flexible) noexcept:
    """Least number of bytes that a value of the kind takes on the wire."""
    if op.kind == K_STRUCT:
        return 1 if op.nullable else op.sub.min_size
    if op.kind == K_INT32 or op.kind == K_UINT32:
        return 4
    if op.kind == K_INT64 or op.kind == K_FLOAT64:
        return 8
    if op.kind == K_INT16 or op.kind == K_UINT16:
        return 2
    if op.kind == K_UUID:
        return 16
    if op.kind == K_BOOL or op.kind == K_INT8 or flexible:
        return 1
    return 2 if op.kind == K_STRING else 4


def skip_tagged(data not None, Py_ssize_t offset):
    """The offset behind the tagged section at `offset`, whatever is in it. Raises ProtocolError."""
    cdef const uint8_t[::1] view = data
    cdef Cursor c
    if offset < 0 or offset > view.shape[0]:
        raise ProtocolError("the tagged section is cut short")
    if offset == view.shape[0]:
        raise ProtocolError("the tagged section is missing")
    cursor_init(&c, &view[0] + offset, view.shape[0] - offset)
    skip_tags(&c)
    if c.bad:
        raise ProtocolError("the tagged section is cut short")
    return view.shape[0] - (c.end - c.p)
