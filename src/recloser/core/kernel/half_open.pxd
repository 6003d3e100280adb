# Types of half_open.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport (
    ADMITS_NO_PROBE, FAILED, HALF_OPEN, IGNORED, NEVER, NO_PLACE_FOR_A_PROBE, NO_RULE, PROBE_FAILED,
    PROBE_SUCCESSES, PROBE_TIMEOUT, PROBE_WINDOW, SUCCEEDED, WRONG_PROBE_NUMBER,
)
from recloser.core.kernel.kernel_state cimport Reclosing, State, count_outcomes
from recloser.core.kernel.ring cimport Ring, first_index, pop_item, position_of, push_item
from recloser.core.kernel.window cimport Window, add_outcomes


@cython.locals(reclosing=Reclosing, in_flight="long long")
cpdef bint may_probe(State state, long long asked=*)
@cython.locals(reclosing=Reclosing, probes=Ring, position="long long")
cdef int admit(State state, long long at, long long epoch, long long probe) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, index="long long", position="long long")
cdef long long probe_index(State state, long long probe) noexcept
@cython.locals(position="long long")
cdef void _remove(Ring probes, long long index) noexcept
@cython.locals(in_flight="long long", index="long long", position="long long", to="long long")
cdef void _drop_removed(Ring probes) noexcept
@cython.locals(reclosing=Reclosing, position="long long", index="long long", rule="int")
cdef int step_half_open(State state, int kind, long long seq, long long at, long long took, long long probe, long long count) except -99
@cython.locals(reclosing=Reclosing, window=Window, rule="int")
cdef int _rule_after_probe(State state, int kind, long long seq, long long at, long long took) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, began_at="long long")
cdef bint is_probe_overdue(State state) noexcept
@cython.locals(reclosing=Reclosing, probes=Ring, position="long long", rule="int")
cdef int expire_probe(State state, long long seq, long long at) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, overdue_at="long long")
cdef void set_half_open_deadline(State state) noexcept
cpdef forget_probes(State state)
