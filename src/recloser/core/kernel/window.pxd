# Types of window.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport BUCKET, GROUP, NEVER, NO_RULE, SECOND
from recloser.core.kernel.ring cimport (
    Ring, copy_items, last_position, pop_item, position_of, push_item, set_up_ring,
)
from recloser.core.kernel.thresholds cimport Thresholds, rule_reached


cdef class Window(Ring):
    cdef readonly Thresholds thresholds
    cdef public long long calls, failures, slow


cdef int add_outcomes(Window window, long long seq, long long at, long long count, bint failed, bint slow) except -99
@cython.locals(code="long long", size="long long", surplus="long long", position="long long")
cdef int _add_counted(Window window, long long seq, long long count, bint failed, bint slow) except -1
@cython.locals(position="long long")
cdef int _add_to_newest(Window window, long long code, long long count) except -1
@cython.locals(failures="long long", slow="long long", position="long long", code="long long", dropped="long long", in_group="long long")
cdef void _drop_oldest(Window window, long long count) noexcept
cdef int _add_timed(Window window, long long seq, long long at, long long count, bint failed, bint slow) except -1
@cython.locals(items="long long*", position="long long")
cdef void add_to_second(Window window, long long seq, long long count, long long failures, long long slow) noexcept
@cython.locals(since="long long")
cdef bint _is_in_newest_second(Window window, long long at) noexcept
@cython.locals(items="long long*", position="long long", oldest_kept="long long")
cdef int _begin_second(Window window, long long seq, long long second) except -1
cpdef long long keeps_until(Window window) except -1
