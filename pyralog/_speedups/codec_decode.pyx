"""Decodes a message from the wire into objects, as a compiled schema says."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from pyralog._speedups.codec_types cimport (
    F_NONE,
    F_NULL,
    F_PYTHON,
    F_TOO_MANY,
    F_TRUNCATED,
    K_ARRAY,
    K_BOOL,
    K_BYTES,
    K_INT8,
    K_INT16,
    K_INT32,
    K_INT64,
    K_STRING,
    K_STRUCT,
    K_UINT16,
    K_UINT32,
    K_UUID,
    Op,
    Py_DECREF,
    Py_False,
    Py_INCREF,
    Py_None,
    Py_True,
    Py_XDECREF,
    PyBytes_FromStringAndSize,
    PyErr_Occurred,
    PyFloat_FromDouble,
    PyList_New,
    PyList_SET_ITEM,
    PyLong_FromLong,
    PyLong_FromLongLong,
    PyUnicode_DecodeUTF8,
    StructOps,
    fresh_value,
    new_instance,
    slot_at,
)
from pyralog._speedups.cursor cimport (
    MAX_TAGS,
    Cursor,
    Span,
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

# All elements of all arrays of one message. Kafka caps each array only; this bounds the memory that nested arrays in
# one frame may turn into.
cdef enum:
    MAX_TOTAL_ELEMENTS = 2000000


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
