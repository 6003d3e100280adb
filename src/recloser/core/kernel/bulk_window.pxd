# Types of bulk_window.py where it is compiled.

cimport cython

from recloser.core.kernel.codes cimport GROUP, NEVER
from recloser.core.kernel.ring cimport store_in
from recloser.core.kernel.rows cimport Rows, count_failures, count_slow
from recloser.core.kernel.thresholds cimport Thresholds, rule_reached
from recloser.core.kernel.window cimport Window, add_to_second


@cython.locals(thresholds=Thresholds, calls="long long", max_calls="long long", size="long long", slow="long long", max_failures="long long", max_slow="long long", row="long long")
cdef long long add_singles(Window window, Rows rows, long long start, long long stop, long long failures, long long slow_ns) except -1
@cython.locals(low="long long", high="long long", middle="long long")
cdef long long _most_without_rule(Thresholds thresholds, long long calls, long long failed, long long slow) noexcept
@cython.locals(size="long long", can_be_slow="bint", is_bounded="bint", items="long long*", capacity="long long", first="long long", length="long long", calls="long long", failures="long long", slow="long long", free="long long", row="long long", dropped="long long", failed="long long", is_slow="bint", next_failures="long long", next_slow="long long")
cdef long long _add_codes(Window window, Rows rows, long long start, long long stop, long long slow_ns, long long max_failures, long long max_slow) noexcept
