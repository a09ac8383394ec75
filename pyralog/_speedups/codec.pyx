# cython: auto_pickle=False
"""Encodes and decodes every API message, driven by the schemas of wire/schemas.

A Program is a schema compiled for one version: an array of small C structs (Op) for each struct, which names the slot of
the Python object, the wire kind and the default. codec_decode and codec_encode interpret it.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from pyralog._speedups.codec_decode cimport Decoder, decode_struct
from pyralog._speedups.codec_encode cimport Writer, encode_struct, reserve
from pyralog._speedups.codec_message cimport Layout
from pyralog._speedups.codec_types cimport (
    F_ABSENT,
    F_LONG,
    F_NONE,
    F_NULL,
    F_PYTHON,
    F_RANGE,
    F_TOO_MANY,
    F_TRUNCATED,
    F_TYPE,
    F_UNSET,
    K_ARRAY,
    K_BOOL,
    K_BYTES,
    K_FLOAT64,
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
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyErr_Clear,
    PyErr_Occurred,
    PyGC_Disable,
    PyGC_Enable,
    PyObject_GetBuffer,
    StructOps,
)
from pyralog._speedups.cursor cimport Cursor, cursor_init, skip_tags

from pyralog._speedups.codec_message import Message, define

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


class ProtocolError(ValueError):
    """Bytes from the wire that are not the message they claim to be."""


class EncodeError(ValueError):
    """A message that its version cannot carry: a value out of range, of the wrong type, or in a field of other versions."""


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
