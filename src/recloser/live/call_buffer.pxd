# Types of call_buffer.py where it is compiled.

cimport cython
from cpython.array cimport array
from cpython.mem cimport PyMem_Free, PyMem_Realloc


cdef class CallBuffer:
    cdef long long *_items
    cdef list _tokens, _flat
    cdef Py_ssize_t _size, _capacity
    cdef public Py_ssize_t limit
    cdef public long long due_ns
    cdef public object fold_buffered

    @cython.locals(index="Py_ssize_t")
    cpdef bint record(self, long long at, long long took, object token) except -1
    @cython.locals(capacity="Py_ssize_t", items="void *")
    cdef int _grow(self) except -1
    @cython.locals(size="Py_ssize_t", index="Py_ssize_t", ats=array, tooks=array)
    cpdef tuple columns(self)


cdef array _zeros(Py_ssize_t size)
cdef long long _SECOND
@cython.locals(numbers=array, items="long long *", index="Py_ssize_t")
cpdef array count_from(long long first, Py_ssize_t size)
@cython.locals(codes=bytearray, table=list, known=dict, index="Py_ssize_t", code="int")
cdef tuple _coded(list tokens)
@cython.locals(index="Py_ssize_t", last="long long", listed=list, items="long long *")
cpdef int put_in_order(array times, long long at) except -1
