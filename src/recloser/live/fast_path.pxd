# Types of gate.py where it is compiled.

cimport cython

from recloser.live.call_buffer cimport Pending


cdef class Pass:
    cdef object __weakref__
    cdef public object state, counter
    cdef public long long epoch, until_ns
    cdef public int kind


cdef class Leave(Pass):
    cdef public long long lapses_ns, slow_ns, bad_let, bad_most
    cdef public bint ignores_ends
    cdef public dict endings


cdef class Ending(Pass):
    cdef public object error, error_type


cdef class Refusal(Pass):
    cdef public object where, reason
    cdef public long long opens_ns
    cdef public bint has_end


@cython.final
cdef class Gate:
    cdef public object breaker, monotonic_ns, given
    cdef public Leave leave
    cdef public Refusal refusal
    cdef public unsigned char counts, lets_bad, is_system
    cdef public long long origin, ends_ns
    cdef public Pending pending
    cdef public tuple _past

    cpdef record(self, long long monotonic_ns, long long took_ns, Pass passed)
