# Types of call_simulation.py where it is compiled.

cimport cython

from recloser.core.kernel.call_columns cimport (
    CallColumns, Progress, is_let_through, probe_of, reject_until, started_before,
)
from recloser.core.kernel.closed cimport run_closed, step_closed
from recloser.core.kernel.codes cimport (
    ADMITTED, ASKS_ALL, ASKS_OUTCOME, ASKS_WINDOW, CLOSED, FAILED, HALF_OPEN, IGNORED, IS_DUE, NEVER,
    NO_RULE, OPEN, PROBE, SUCCEEDED, UNKNOWN,
)
from recloser.core.kernel.half_open cimport probe_index
from recloser.core.kernel.kernel_state cimport State
from recloser.core.kernel.ring cimport push_item
from recloser.core.kernel.rows cimport Rows, first_from
from recloser.core.kernel.steps cimport advance, decide, step
from recloser.core.kernel.thresholds cimport Thresholds
from recloser.core.kernel.window cimport Window, add_outcomes

cdef int _BLOCK, _FEW


cpdef int simulate(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, end_index="long long", took="long long", probe="long long", kind="int", rule="int")
cpdef int suppose(State state, Progress progress, bint failed, bint slow) except -99
@cython.locals(calls=CallColumns, end_index="long long", stop="long long")
cdef int _simulate_closed(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, end_index="long long", stop="long long")
cdef long long _end_of_stretch(Progress progress) noexcept
@cython.locals(calls=CallColumns, end_index="long long", rows=Rows)
cdef Rows _rows_of(Progress progress, long long stop)
@cython.locals(calls=CallColumns, end_index="long long", at="long long", took="long long", kind="int")
cdef long long _report_singly(State state, Progress progress, long long stop) except -1
@cython.locals(limits=Thresholds, slow="bint", before="long long", rule="int", is_possible="bint", is_bad="bint", drops_others="bint")
cdef int _add_to_both(State state, Window lower, Window upper, long long at, bint failed, long long took) except -99
@cython.locals(calls=CallColumns, is_end="bint")
cdef int _simulate_not_closed(State state, Progress progress) except -99
@cython.locals(calls=CallColumns)
cdef bint _is_end_next(Progress progress) noexcept
@cython.locals(call="long long")
cdef bint _is_noticed(State state, Progress progress) noexcept
@cython.locals(calls=CallColumns, start_index="long long", end_index="long long")
cdef int _pass_cooldown(State state, Progress progress) except -1
@cython.locals(calls=CallColumns, start_index="long long", position="long long", probe="long long")
cdef int _start(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, window=Window, end_index="long long", call="long long", probe="long long", took="long long", kind="int", can_be_slow="bint")
cdef int _end(State state, Progress progress) except -99
