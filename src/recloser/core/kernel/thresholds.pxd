# Types of thresholds.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport (
    FAILURE_RATE, FITS, NO_RULE, SLOW_CALL_RATE, WINDOW_FAILURES,
)


cdef class Thresholds:
    cdef readonly long long size, needed, failures, failure_num, failure_den, slow_num, slow_den
    cdef readonly bint is_timed


cdef class Rules:
    cdef readonly long long failure_threshold, slow_ns, success_threshold, max_probes
    cdef readonly long long half_open_timeout_ns, probe_timeout_ns
    cdef readonly Thresholds window, probe_window


cpdef bint needs_failures(Rules rules)
cdef int rule_reached(Thresholds thresholds, long long calls, long long failures, long long slow) noexcept
@cython.locals(left="long long")
cdef bint _is_rate_reached(long long part, long long whole, long long num, long long den) noexcept
