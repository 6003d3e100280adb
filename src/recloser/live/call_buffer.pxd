# Types of pending.py where it is compiled.

cimport cython
from cpython.array cimport array
from cpython.mem cimport PyMem_Free, PyMem_Realloc


cdef class Pending:
    cdef long long *_items
    cdef list _passes, _flat
    cdef Py_ssize_t _number, _capacity
    cdef public Py_ssize_t limit
    cdef public long long due_ns
    cdef public object relieve

    @cython.locals(place="Py_ssize_t")
    cpdef bint record(self, long long at, long long took, object passed) except -1
    @cython.locals(capacity="Py_ssize_t", items="void *")
    cdef int _grow(self) except -1
    @cython.locals(number="Py_ssize_t", place="Py_ssize_t", ats=array, tooks=array)
    cpdef tuple columns(self)


cdef array _times(Py_ssize_t number)
cdef long long _SECOND
@cython.locals(numbers=array, items="long long *", place="Py_ssize_t")
cpdef array count_from(long long first, Py_ssize_t number)
@cython.locals(codes=bytearray, table=list, known=dict, place="Py_ssize_t", code="int")
cdef tuple _coded(list passes)
@cython.locals(place="Py_ssize_t", last="long long", listed=list, items="long long *")
cpdef int put_in_order(array times, long long at) except -1
