# cython: auto_pickle=False
"""Message classes: slots with a layout, a constructor that takes keywords straight into the slots, equality and repr."""

import sys

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdlib cimport calloc, free

from pyralog._speedups.codec_types cimport (
    FRESH_LIST,
    FRESH_STRUCT,
    FRESH_VALUE,
    Op,
    Py_DECREF,
    Py_INCREF,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyVectorcall_NARGS,
    fresh_value,
    new_instance,
    set_constructor,
    slot_at,
    slot_offset,
)


@cython.final
cdef class Layout:
    """Names, slots and defaults of a message class; `define` makes one."""

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
