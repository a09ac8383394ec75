"""Encodes a message's objects for the wire, as a compiled schema says."""

from cpython.mem cimport PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from libc.stdint cimport INT32_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from pyralog._speedups.codec_types cimport (
    F_ABSENT,
    F_LONG,
    F_NONE,
    F_NULL,
    F_PYTHON,
    F_RANGE,
    F_TYPE,
    F_UNSET,
    FRESH_LIST,
    FRESH_VALUE,
    K_ARRAY,
    K_BOOL,
    K_BYTES,
    K_FLOAT64,
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
    Py_EQ,
    Py_False,
    Py_None,
    Py_True,
    Py_TYPE,
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyBytes_AS_STRING,
    PyBytes_Check,
    PyBytes_GET_SIZE,
    PyErr_Clear,
    PyFloat_AS_DOUBLE,
    PyFloat_Check,
    PyList_Check,
    PyLong_AsLongLongAndOverflow,
    PyLong_Check,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
    PyObject_RichCompareBool,
    PySequence_Fast_GET_SIZE,
    PySequence_Fast_ITEMS,
    PyTuple_Check,
    PyType_IsSubtype,
    PyUnicode_AsEncodedString,
    PyUnicode_AsUTF8AndSize,
    PyUnicode_Check,
    StructOps,
    slot_at,
)
from pyralog._speedups.cursor cimport be16, be32, be64


cdef int fail_encode(Writer* w, const StructOps* at, const Op* op, int fault) noexcept:
    if w.fault == F_NONE:
        w.fault = fault
        w.at = at
        w.op = op
    return -1


cdef bint grow(Writer* w, int64_t size) noexcept:
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
