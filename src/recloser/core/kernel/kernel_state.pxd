# Types of kernel_state.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport CLOSED, FAILED, HALF_OPEN, NEVER, NO_RULE, SUCCEEDED
from recloser.core.kernel.ring cimport Ring
from recloser.core.kernel.thresholds cimport Rules
from recloser.core.kernel.window cimport Window


cdef class Reclosing:
    cdef public bint is_forced
    cdef public long long opened_at, half_open_at, waited, probes_admitted
    cdef public Ring probes, probe_seqs
    cdef public Window probe_window


cdef class State:
    cdef public Rules rules
    cdef public signed char is_disabled, is_shadow, is_timed, where, fired
    cdef public long long epoch, deadline, consecutive_failures
    cdef public long long succeeded, failed, ignored, rejected, stale
    cdef public Ring failure_seqs
    cdef public Window window
    cdef public Reclosing reclosing


@cython.locals(reclosing=Reclosing)
cpdef start_windows(State state)
cdef void count_outcomes(State state, int kind, long long count) noexcept
