# Types of pending.py where it is compiled.

cimport cython
from cpython.array cimport array

cdef array _EMPTY


cdef class Pending:
    cdef array _ats, _tooks
    cdef long long *_at_items
    cdef long long *_took_items
    cdef list _passes, _flat
    cdef Py_ssize_t _number, _capacity
    cdef public Py_ssize_t limit
    cdef public long long due_ns

    @cython.locals(place="Py_ssize_t")
    cpdef bint record(self, long long at, long long took, object passed) except -1
    @cython.locals(
        capacity="Py_ssize_t",
        place="Py_ssize_t",
        ats=array,
        tooks=array,
        old_ats="long long *",
        old_tooks="long long *",
    )
    cdef int _grow(self) except -1
    @cython.locals(left="Py_ssize_t", place="Py_ssize_t")
    cpdef drop(self, Py_ssize_t number)


@cython.locals(codes=bytearray, table=list, known=dict, place="Py_ssize_t", code="int")
cdef tuple _coded(list passes)
@cython.locals(place="Py_ssize_t", last="long long", listed=list)
cpdef int put_in_order(array times, long long at) except -1
