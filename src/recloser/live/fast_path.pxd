# Types of fast_path.py where it is compiled.

cimport cython

from recloser.live.call_buffer cimport CallBuffer
from recloser.live.call_tokens cimport AdmitToken, CallToken, RejectToken


@cython.final
cdef class FastPath:
    cdef public object breaker, monotonic_ns, given_settings
    cdef public AdmitToken admit_token
    cdef public RejectToken reject_token
    cdef public unsigned char admits_bad, is_system_clock
    cdef public long long origin, ends_ns
    cdef public CallBuffer call_buffer
    cdef public tuple _retired

    cpdef record(self, long long monotonic_ns, long long took_ns, CallToken token)
