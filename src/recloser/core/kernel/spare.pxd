# Types of spare.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport CLOSED, FITS
from recloser.core.kernel.kernel_state cimport State
from recloser.core.kernel.thresholds cimport Thresholds
from recloser.core.kernel.window cimport Window


@cython.locals(spare="long long", calls="long long", most="long long", window=Window, limits=Thresholds)
cpdef long long spare_calls(State state, bint is_for_ever) except? -2
cdef long long _most_below(long long num, long long den, long long calls) noexcept
