# Types of steps.py where it is compiled.

cimport cython

from recloser.core.kernel.closed cimport run_closed, step_closed
from recloser.core.kernel.codes cimport (
    ADMITTED, ALLOWED, CLOSED, COOLDOWN, COOLING, DISABLED, EXHAUSTED, FORCED, FUTURE_EPOCH, HALF_OPEN,
    HALF_OPEN_TIMEOUT, NEVER, NO_RULE, OPEN, PROBE, PROBE_SUCCESSES, REJECTED,
)
from recloser.core.kernel.half_open cimport (
    admit, expire_probe, forget_probes, is_probe_overdue, may_probe, set_half_open_deadline,
    step_half_open,
)
from recloser.core.kernel.kernel_state cimport Reclosing, State, count_outcomes, start_windows
from recloser.core.kernel.rows cimport Rows
from recloser.core.kernel.thresholds cimport Rules


@cython.locals(reclosing=Reclosing)
cpdef int decide(State state)
@cython.locals(reclosing=Reclosing, rule="int")
cpdef int advance(State state, long long seq, long long at) except -99
cpdef int step(State state, int kind, long long seq, long long at, long long took, long long epoch, long long probe, long long count) except -99
@cython.locals(row="long long")
cpdef long long run(State state, Rows rows, long long start, long long stop) except -99
cpdef int enter(State state, long long at, long long wait_ns) except -99
cpdef reconfigure(State state, Rules rules, bint is_disabled)
cpdef judge_by(State state, Rules rules)
