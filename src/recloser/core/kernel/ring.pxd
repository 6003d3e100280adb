# Types of ring.py where it is compiled.

cimport cython
from cpython.array cimport array

from recloser.core.kernel.codes cimport NEVER

cdef int _FIRST_CAPACITY


cdef class Ring:
    cdef readonly int width
    cdef readonly long long max_items, first, length, removed, capacity
    cdef readonly array numbers
    cdef long long *items


cdef int set_up_ring(Ring ring, int width, long long max_items) except -1
cdef void store_in(Ring ring, array numbers) noexcept
cdef void copy_items(Ring ring, Ring other) noexcept
@cython.locals(numbers=array, begin="Py_ssize_t", at_end="Py_ssize_t", capacity="long long")
cdef long long _grow(Ring ring) except -1
cdef long long push_item(Ring ring) except -1
@cython.locals(slot="long long")
cdef long long pop_item(Ring ring) noexcept
cdef long long last_position(Ring ring) noexcept
@cython.locals(slot="long long")
cdef long long position_of(Ring ring, long long index) noexcept
@cython.locals(low="long long", high="long long", middle="long long")
cdef long long first_index(Ring ring, int column, long long at_least) noexcept
