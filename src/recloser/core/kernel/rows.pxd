# Types of rows.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport NEVER


cdef class Rows:
    cdef readonly const unsigned char[::1] kind
    cdef readonly const long long[::1] seq, at, took, epoch, probe, count


@cython.locals(others="long long", row="long long")
cdef bint are_single_outcomes(Rows rows, long long start, long long stop, long long epoch) noexcept
@cython.locals(failures="long long", row="long long")
cdef long long count_failures(Rows rows, long long start, long long stop) noexcept
@cython.locals(slow="long long", row="long long")
cdef long long count_slow(Rows rows, long long start, long long stop, long long slow_ns) noexcept
@cython.locals(width="long long", low="long long", high="long long", middle="long long")
cdef long long first_from(const long long[::1] times, long long start, long long stop, long long at) noexcept
