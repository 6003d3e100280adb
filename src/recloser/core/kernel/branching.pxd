# Types of branching.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport BUCKET, NEVER
from recloser.core.kernel.kernel_state cimport Reclosing, State
from recloser.core.kernel.ring cimport Ring
from recloser.core.kernel.thresholds cimport Rules
from recloser.core.kernel.window cimport Window


cpdef assume(State state, State other)
cpdef tuple key_of(State state)
@cython.locals(probes=Ring)
cdef tuple _reclosing_key(Reclosing reclosing, Rules rules)
cpdef tuple window_key_of(Window window)
