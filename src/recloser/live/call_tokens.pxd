# Types of call_tokens.py where it is compiled.

cdef class CallToken:
    cdef object __weakref__
    cdef public object state, counter
    cdef public long long epoch, count_until_ns
    cdef public int kind


cdef class AdmitToken(CallToken):
    cdef public long long expires_ns, slow_ns, bad_recorded, bad_limit
    cdef public bint ignores_end_time
    cdef public dict outcome_tokens


cdef class OutcomeToken(CallToken):
    cdef public object error, error_type


cdef class RejectToken(CallToken):
    cdef public object circuit_state, reason
    cdef public long long retry_ns
    cdef public bint has_known_retry
