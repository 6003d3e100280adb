# Types of closed.py where it is compiled.

cimport cython

from recloser.core.kernel.bulk_window cimport add_singles
from recloser.core.kernel.codes cimport CONSECUTIVE_FAILURES, FAILED, IGNORED, NO_RULE
from recloser.core.kernel.kernel_state cimport State
from recloser.core.kernel.ring cimport Ring, last_position, push_item
from recloser.core.kernel.rows cimport Rows, are_single_outcomes, count_failures, first_from
from recloser.core.kernel.window cimport Window, add_outcomes, keeps_until

cdef int _FEWEST_AT_ONCE, _MOST_AT_ONCE, _MAX_SEQS


@cython.locals(failed="bint", threshold="long long")
cdef int step_closed(State state, Window window, int kind, long long seq, long long at, long long took, long long count) except -99
@cython.locals(seqs=Ring, position="long long")
cdef int _record_failure(State state, long long seq) except -1
@cython.locals(epoch="long long", ahead="long long", row="long long", applied="long long", singly="long long", kind="int", rule="int")
cdef long long run_closed(State state, Rows rows, long long start, long long stop) except -99
@cython.locals(window=Window, until="long long", row="long long", failures="long long", run="long long", added="long long")
cdef long long _apply_outcomes(State state, Rows rows, long long start, long long stop) except -99
@cython.locals(epoch="long long", threshold="long long", first="long long", before="long long", row="long long")
cdef long long _end_without_trip(State state, Rows rows, long long start, long long stop) noexcept
