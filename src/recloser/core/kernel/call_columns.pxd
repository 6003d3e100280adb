# Types of call_columns.py where it is compiled.

cimport cython

from recloser.core.kernel.ring cimport (
    Ring, first_index, last_position, pop_item, position_of, push_item,
)
from recloser.core.kernel.rows cimport Rows, first_from
from recloser.core.kernel.window cimport Window


cdef class CallColumns:
    cdef readonly long long size
    cdef readonly const long long[::1] starts, ended_before, by_end, ends, tooks
    cdef readonly const unsigned char[::1] outcomes


cdef class Progress:
    cdef readonly CallColumns calls
    cdef readonly long long next_start, next_end, at, epoch, since, before
    cdef readonly Ring rejected, probes
    cdef readonly bint is_shadow, is_shared
    cdef readonly Window lower, upper
    cdef Rows rows
    cdef long long[::1] epochs
    cdef long long dated


@cython.locals(ranges=Ring, index="long long")
cpdef bint is_let_through(Progress progress, long long call) noexcept
@cython.locals(ranges=Ring)
cpdef forget_rejected(Progress progress, long long start_index)
@cython.locals(probes=Ring, index="long long")
cdef long long probe_of(Progress progress, long long call) noexcept
@cython.locals(ranges=Ring, position="long long")
cdef int reject_until(Progress progress, long long start_index) except -1
cdef long long started_before(CallColumns calls, long long end_index) noexcept
