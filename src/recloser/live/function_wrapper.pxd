# Types of fast_path.py where it is compiled.

cimport cython

from recloser.clock cimport READS_HAND, system_hand
from recloser.live.fast_path cimport Gate, Leave, Pass, Refusal

cdef int _FAILED, _SUCCEEDED
cdef object _OPEN, _Decision, _Error, _follow_of


@cython.final
@cython.freelist(64)
@cython.no_gc
cdef class Started:
    cdef public Gate gate
    cdef public Leave leave
    cdef public long long started_ns


@cython.locals(call=Started, leave=Leave)
cdef Started _begin(Gate gate)
cdef long long _hand(Gate gate) except? -1
cdef Gate _gate_of(object breaker)
cdef object _refused(Gate gate)
cdef object _refused_at(Refusal refusal, long long monotonic_ns)
cdef bint _returned(Gate gate, Leave leave, long long started) except -1
cdef bint _succeed(Gate gate, Leave leave, long long ended, long long took) except -1
@cython.locals(ending=Pass, endings=dict)
cdef bint _raised(Gate gate, Leave leave, long long started, object error) except -1
cdef bint _end_with(Gate gate, Leave leave, long long ended, long long took, Pass ending) except -1
cdef bint _is_bad(Leave leave, long long took, Pass ending) noexcept
