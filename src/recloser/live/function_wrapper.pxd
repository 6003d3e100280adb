# Types of function_wrapper.py where it is compiled.

cimport cython

from recloser.clock cimport READS_HAND, system_hand
from recloser.live.call_tokens cimport AdmitToken, CallToken, RejectToken
from recloser.live.fast_path cimport FastPath

cdef int _FAILED, _SUCCEEDED
cdef object _OPEN, _Decision, _Error, _follow_of


@cython.final
@cython.freelist(64)
@cython.no_gc
cdef class StartedCall:
    cdef public FastPath fast_path
    cdef public AdmitToken token
    cdef public long long started_ns


@cython.locals(call=StartedCall, token=AdmitToken)
cdef StartedCall _begin(FastPath fast_path)
cdef long long _monotonic_ns(FastPath fast_path) except? -1
cdef FastPath _fast_path_of(object breaker)
@cython.locals(token=RejectToken)
cdef object _reject(FastPath fast_path)
cdef object _rejection_at(RejectToken token, long long monotonic_ns)
cdef bint _record_return(FastPath fast_path, AdmitToken token, long long started) except -1
cdef bint _record_success(
    FastPath fast_path, AdmitToken token, long long ended, long long took
) except -1
@cython.locals(outcome_token=CallToken, outcome_tokens=dict)
cdef bint _record_error(
    FastPath fast_path, AdmitToken token, long long started, object error
) except -1
cdef bint _record_outcome(
    FastPath fast_path, AdmitToken token, long long ended, long long took, CallToken outcome_token
) except -1
cdef bint _is_bad(AdmitToken token, long long took, CallToken outcome_token) noexcept
