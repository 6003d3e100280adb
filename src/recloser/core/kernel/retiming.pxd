# Types of retiming.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport BUCKET, NEVER, SECOND
from recloser.core.kernel.half_open cimport set_half_open_deadline
from recloser.core.kernel.kernel_state cimport State
from recloser.core.kernel.ring cimport Ring, last_position, position_of
from recloser.core.kernel.window cimport Window


@cython.locals(probes=Ring, wait_ns="long long", index="long long", position="long long")
cpdef retime(State state, object moved)
@cython.locals(second="long long", position="long long", start="Py_ssize_t", index="long long")
cdef int _retime_window(Window window, object moved) except -1
