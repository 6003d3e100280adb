# Types of kernel.py where it is compiled.

cimport cython
from cpython.array cimport array

cdef int _CLOSED, _OPEN, _HALF_OPEN
cdef int _SUCCEEDED, _FAILED, _IGNORED, _REJECTED, _ADMITTED
cdef int _NO_RULE, _CONSECUTIVE_FAILURES, _WINDOW_FAILURES, _FAILURE_RATE, _SLOW_CALL_RATE
cdef int _COOLDOWN, _PROBE_FAILED, _PROBE_TIMEOUT, _PROBE_SUCCESSES, _PROBE_WINDOW
cdef int _HALF_OPEN_TIMEOUT, _FUTURE_EPOCH, _ADMITS_NO_PROBE, _NO_PLACE_FOR_A_PROBE
cdef int _WRONG_PROBE_NUMBER
cdef int _ALLOWED, _PROBE, _COOLING, _FORCED, _EXHAUSTED, _DISABLED
cdef long long _NEVER, _SECOND, _RUN, _FITS
cdef int _BUCKET, _FIRST_CAPACITY, _FEWEST_AT_ONCE, _MOST_AT_ONCE, _MAX_SEQS
cdef array _NO_NUMBERS


cdef class Thresholds:
    cdef readonly long long size, needed, failures, failure_num, failure_den, slow_num, slow_den
    cdef readonly bint is_timed


cdef class Rules:
    cdef readonly long long failure_threshold, slow_ns, success_threshold, max_probes
    cdef readonly long long half_open_timeout_ns, probe_timeout_ns
    cdef readonly Thresholds window, probe_window


cdef class Ring:
    cdef readonly int width
    cdef readonly long long most, first, length, removed, capacity
    cdef readonly array numbers
    cdef long long *items


cdef class Window(Ring):
    cdef readonly Thresholds thresholds
    cdef public long long calls, failures, slow


cdef class Rows:
    cdef readonly const unsigned char[::1] kind
    cdef readonly const long long[::1] seq, at, took, epoch, probe, count


cdef class Reclosing:
    cdef public bint is_forced
    cdef public long long opened_at, half_open_at, waited, probes_admitted
    cdef public Ring probes, probe_seqs
    cdef public Window probe_window


cdef class State:
    cdef public Rules rules
    cdef public signed char is_disabled, is_shadow, is_timed, where, fired
    cdef public long long epoch, deadline, consecutive_failures
    cdef public long long succeeded, failed, ignored, rejected, stale
    cdef public Ring failure_seqs
    cdef public Window window
    cdef public Reclosing reclosing


cdef void _hold(Ring ring, array numbers) noexcept
cdef void _copy(Ring ring, Ring other) noexcept
@cython.locals(numbers=array, begin="Py_ssize_t", kept="Py_ssize_t", capacity="long long")
cdef long long _grow(Ring ring) except -1
cdef long long _pushed(Ring ring) except -1
@cython.locals(place="long long")
cdef long long _popped(Ring ring) noexcept
cdef long long _last(Ring ring) noexcept
@cython.locals(place="long long")
cdef long long _place(Ring ring, long long index) noexcept

cdef int _add(Window window, long long seq, long long at, long long count, bint failed, bint slow) except -99
@cython.locals(code="long long", size="long long", over="long long", place="long long")
cdef int _add_counted(Window window, long long seq, long long count, bint failed, bint slow) except -1
@cython.locals(place="long long")
cdef int _add_to_newest(Window window, long long code, long long count) except -1
@cython.locals(failures="long long", slow="long long", place="long long", code="long long", gone="long long", alike="long long")
cdef void _forget(Window window, long long count) noexcept
cdef int _add_timed(Window window, long long seq, long long at, long long count, bint failed, bint slow) except -1
@cython.locals(items="long long*", place="long long")
cdef void _add_to_second(Window window, long long seq, long long count, long long failures, long long slow) noexcept
@cython.locals(since="long long")
cdef bint _is_in_newest_second(Window window, long long at) noexcept
@cython.locals(items="long long*", place="long long")
cdef int _begin_second(Window window, long long seq, long long second) except -1
cdef int _reached(Thresholds limits, long long calls, long long failures, long long slow) noexcept
@cython.locals(left="long long")
cpdef bint needs_failures(Rules rules)
cdef bint _is_rate_reached(long long part, long long whole, long long num, long long den) noexcept

@cython.locals(reclosing=Reclosing, under_way="long long")
cpdef bint may_probe(State state, long long asked=*)
@cython.locals(reclosing=Reclosing)
cpdef int decide(State state)
cpdef long long keeps_until(Window window) except -1
@cython.locals(spare="long long", calls="long long", window=Window, limits=Thresholds)
cpdef long long to_spare(State state, bint is_for_ever) except? -2
cdef long long _most_below(long long num, long long den, long long calls) noexcept
@cython.locals(reclosing=Reclosing, rule="int")
cpdef int advance(State state, long long seq, long long at) except -99
cpdef int step(State state, int kind, long long seq, long long at, long long took, long long epoch, long long probe, long long count) except -99
cpdef int enter(State state, long long at, long long wait_ns) except -99
@cython.locals(reclosing=Reclosing)
cpdef start_windows(State state)
cpdef reconfigure(State state, Rules rules, bint is_disabled)
cpdef judge_by(State state, Rules rules)
cpdef forget_probes(State state)
@cython.locals(probes=Ring, wait_ns="long long", index="long long", place="long long")
cpdef retime(State state, object moved)
@cython.locals(second="long long", place="long long", begin="Py_ssize_t", index="long long")
cdef int _retime_window(Window window, object moved) except -1
@cython.locals(row="long long")
cpdef long long run(State state, Rows rows, long long start, long long stop) except -99

@cython.locals(epoch="long long", ahead="long long", row="long long", passed="long long", singly="long long", kind="int", rule="int")
cdef long long _run_closed(State state, Rows rows, long long start, long long stop) except -99
@cython.locals(window=Window, until="long long", row="long long", failures="long long", run="long long", passed="long long")
cdef long long _pass_outcomes(State state, Rows rows, long long start, long long stop) except -99
@cython.locals(others="long long", row="long long")
cdef long long _others_in(Rows rows, long long start, long long stop, long long epoch) noexcept
@cython.locals(epoch="long long", threshold="long long", first="long long", before="long long", row="long long")
cdef long long _alike_until(State state, Rows rows, long long start, long long stop) noexcept
@cython.locals(failures="long long", row="long long")
cdef long long _failures_in(Rows rows, long long start, long long stop) noexcept
@cython.locals(slow="long long", row="long long")
cdef long long _slow_in(Rows rows, long long start, long long stop, long long slow_ns) noexcept
@cython.locals(limits=Thresholds, calls="long long", most_calls="long long", size="long long", slow="long long", most_failures="long long", most_slow="long long", row="long long")
cdef long long _add_singles(Window window, Rows rows, long long start, long long stop, long long failures, long long slow_ns) except -1
@cython.locals(low="long long", high="long long", middle="long long")
cdef long long _most(Thresholds limits, long long calls, long long failed, long long slow) noexcept
@cython.locals(size="long long", can_be_slow="bint", items="long long*", capacity="long long", first="long long", length="long long", calls="long long", failures="long long", slow="long long", free="long long", row="long long", gone="long long", failed="long long", is_slow="bint", next_failures="long long", next_slow="long long")
cdef long long _add_codes(Window window, Rows rows, long long start, long long stop, long long slow_ns, long long most_failures, long long most_slow) noexcept
@cython.locals(failed="bint", threshold="long long")
cdef int _step_closed(State state, Window window, int kind, long long seq, long long at, long long took, long long count) except -99
@cython.locals(seqs=Ring, place="long long")
cdef int _note_failure(State state, long long seq) except -1
cdef void _count(State state, int kind, long long count) noexcept

@cython.locals(reclosing=Reclosing, probes=Ring, place="long long")
cdef int _admit(State state, long long at, long long epoch, long long probe) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, low="long long", high="long long", middle="long long", place="long long")
cdef long long _index_of(State state, long long probe) noexcept
@cython.locals(place="long long")
cdef void _remove(Ring probes, long long index) noexcept
@cython.locals(kept="long long", index="long long", place="long long", to="long long")
cdef void _drop_removed(Ring probes) noexcept
@cython.locals(reclosing=Reclosing, place="long long", index="long long", rule="int")
cdef int _step_half_open(State state, int kind, long long seq, long long at, long long took, long long probe, long long count) except -99
@cython.locals(reclosing=Reclosing, window=Window, rule="int")
cdef int _judge(State state, int kind, long long seq, long long at, long long took) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, began_at="long long")
cdef bint _is_probe_overdue(State state) noexcept
@cython.locals(reclosing=Reclosing, probes=Ring, place="long long", rule="int")
cdef int _expire_probe(State state, long long seq, long long at) except -99
@cython.locals(reclosing=Reclosing, probes=Ring, overdue_at="long long")
cdef void _set_half_open_deadline(State state) noexcept


cdef int _UNKNOWN, _ASKS_OUTCOME, _ASKS_WINDOW, _IS_DUE, _ASKS_ALL, _BLOCK, _FEW
cdef array _NUMBERS, _ZEROS, _ONES


cdef class CallColumns:
    cdef readonly long long size
    cdef readonly const long long[::1] starts, ended_before, by_end, ends, tooks
    cdef readonly const unsigned char[::1] outcomes


cdef class Progress:
    cdef readonly CallColumns calls
    cdef readonly long long number, place, at, epoch, since, before
    cdef readonly Ring rejected, probes
    cdef readonly bint is_shadow, is_shared
    cdef readonly Window lower, upper
    cdef Rows rows
    cdef long long[::1] epochs
    cdef long long dated


cpdef int simulate(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, place="long long", took="long long", probe="long long", kind="int", rule="int")
cpdef int suppose(State state, Progress progress, bint failed, bint slow) except -99
@cython.locals(ranges=Ring, low="long long", high="long long", middle="long long")
cpdef bint is_let_through(Progress progress, long long call) noexcept
@cython.locals(ranges=Ring)
cpdef forget_rejected(Progress progress, long long number)
@cython.locals(probes=Ring, low="long long", high="long long", middle="long long")
cdef long long _probe_of(Progress progress, long long call) noexcept
@cython.locals(ranges=Ring, place="long long")
cdef int _reject_until(Progress progress, long long number) except -1
@cython.locals(width="long long", low="long long", high="long long", middle="long long")
cdef long long _first_from(const long long[::1] times, long long start, long long size, long long at) noexcept
cdef long long _started_before(CallColumns calls, long long place) noexcept
@cython.locals(calls=CallColumns, place="long long", stop="long long")
cdef int _simulate_closed(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, place="long long", stop="long long")
cdef long long _end_of_stretch(Progress progress) noexcept
@cython.locals(calls=CallColumns, place="long long", rows=Rows)
cdef Rows _rows_of(Progress progress, long long stop)
@cython.locals(calls=CallColumns, place="long long", at="long long", took="long long", kind="int")
cdef long long _report_singly(State state, Progress progress, long long stop) except -1
@cython.locals(limits=Thresholds, slow="bint", before="long long", rule="int", is_possible="bint", is_bad="bint", lets_go="bint")
cdef int _add_to_both(State state, Window lower, Window upper, long long at, bint failed, long long took) except -99
@cython.locals(calls=CallColumns, is_end="bint")
cdef int _simulate_not_closed(State state, Progress progress) except -99
@cython.locals(calls=CallColumns)
cdef bint _is_end_next(Progress progress) noexcept
@cython.locals(call="long long")
cdef bint _is_noticed(State state, Progress progress) noexcept
@cython.locals(calls=CallColumns, number="long long", place="long long")
cdef int _pass_cooldown(State state, Progress progress) except -1
@cython.locals(calls=CallColumns, number="long long", place="long long", probe="long long")
cdef int _start(State state, Progress progress) except -99
@cython.locals(calls=CallColumns, window=Window, place="long long", call="long long", probe="long long", took="long long", kind="int", can_be_slow="bint")
cdef int _end(State state, Progress progress) except -99
cpdef assume(State state, State other)
cpdef tuple key_of(State state)
@cython.locals(probes=Ring)
cdef tuple _reclosing_key(Reclosing reclosing, Rules rules)
cpdef tuple window_key_of(Window window)
