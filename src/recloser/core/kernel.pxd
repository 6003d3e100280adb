# Types of kernel.py where it is compiled.

cimport cython

cdef int _CLOSED, _OPEN, _HALF_OPEN
cdef int _SUCCEEDED, _FAILED, _IGNORED, _REJECTED, _ADMITTED
cdef int _NO_RULE, _CONSECUTIVE_FAILURES, _WINDOW_FAILURES, _FAILURE_RATE, _SLOW_CALL_RATE
cdef int _COOLDOWN, _PROBE_FAILED, _PROBE_TIMEOUT, _PROBE_SUCCESSES, _PROBE_WINDOW
cdef int _HALF_OPEN_TIMEOUT, _FUTURE_EPOCH, _ADMITS_NO_PROBE, _NO_PLACE_FOR_A_PROBE
cdef int _WRONG_PROBE_NUMBER
cdef int _ALLOWED, _PROBE, _COOLING, _FORCED, _EXHAUSTED, _DISABLED
cdef long long _NEVER, _SECOND
cdef int _BUCKET, _FIRST_CAPACITY


cdef class Thresholds:
    cdef public long long size, needed, failures, failure_num, failure_den, slow_num, slow_den
    cdef public bint is_timed


cdef class Rules:
    cdef public long long failure_threshold, slow_ns, success_threshold, max_probes
    cdef public long long half_open_timeout_ns, probe_timeout_ns
    cdef public Thresholds window, probe_window


cdef class Ring:
    cdef public long long width, first, length, capacity
    cdef public long long[::1] items


cdef class Window:
    cdef public Thresholds thresholds
    cdef public long long calls, failures, slow
    cdef public Ring ring


cdef class Rows:
    cdef public const unsigned char[::1] kind
    cdef public const long long[::1] seq, at, took, epoch, probe, count


cdef class State:
    cdef public Rules rules
    cdef public bint is_disabled, is_forced, is_timed
    cdef public int where, fired
    cdef public long long epoch, opened_at, half_open_at, deadline, consecutive_failures
    cdef public long long probes_admitted, waited, succeeded, failed, ignored, rejected, stale
    cdef public Ring failure_seqs, probes, probe_seqs
    cdef public Window window, probe_window


cdef long long _grow(Ring ring) except -1
@cython.locals(place="long long")
cdef long long _pushed(Ring ring) except -1
@cython.locals(place="long long")
cdef long long _popped(Ring ring) noexcept
@cython.locals(place="long long")
cdef long long _last(Ring ring) noexcept
@cython.locals(ring=Ring, place="long long")
cdef void _let_go(Window window, long long second) noexcept
@cython.locals(ring=Ring, second="long long", place="long long", code="long long", size="long long", old="long long", left="long long")
cdef long long _add(Window window, long long seq, long long at, long long count, bint failed, bint slow) except -1
cdef int _reached(Window window) noexcept

@cython.locals(under_way="long long")
cpdef bint may_probe(State state)
cpdef int decide(State state)
@cython.locals(rule="long long")
cpdef int advance(State state, long long seq, long long at) except? -99
cpdef int step(State state, int kind, long long seq, long long at, long long took, long long epoch, long long probe, long long count) except? -99
cpdef int enter(State state, long long at, long long wait_ns) except? -99
cpdef start_windows(State state)
cpdef reconfigure(State state, Rules rules, bint is_disabled)
cpdef forget_probes(State state)
@cython.locals(row="long long")
cpdef long long run(State state, Rows rows, long long start, long long stop) except? -99

cdef void _count(State state, int kind, long long count) noexcept
@cython.locals(place="long long")
cdef int _step_closed(State state, int kind, long long seq, long long at, long long took, long long count) except? -99
@cython.locals(window=Window, seqs=Ring, epoch="long long", slow_ns="long long", threshold="long long", failures="long long", succeeded="long long", row="long long", place="long long", kind="long long")
cdef long long _run_closed(State state, Rows rows, long long start, long long stop) except? -99
@cython.locals(place="long long")
cdef int _admit(State state, long long at, long long epoch, long long probe) except? -99
@cython.locals(probes=Ring, low="long long", high="long long", middle="long long", place="long long")
cdef long long _index_of(State state, long long probe) noexcept
@cython.locals(probes=Ring, before="long long", to="long long", source="long long")
cdef void _remove_probe(State state, long long index) noexcept
@cython.locals(index="long long", rule="long long")
cdef int _step_half_open(State state, int kind, long long seq, long long at, long long took, long long probe, long long count) except? -99
@cython.locals(place="long long")
cdef long long _note_success(State state, long long seq) except -1
@cython.locals(window=Window, rule="long long")
cdef int _judge(State state, long long seq, long long at, bint failed, bint slow) except? -99
@cython.locals(probes=Ring, began_at="long long")
cdef bint _is_probe_overdue(State state) noexcept
@cython.locals(probes=Ring, timeout="long long", rule="long long")
cdef int _expire_probe(State state, long long seq, long long at) except? -99
@cython.locals(probes=Ring, deadline="long long")
cdef void _set_half_open_deadline(State state) noexcept


cdef int _UNKNOWN, _ASKS_OUTCOME, _ASKS_WINDOW, _IS_DUE, _BLOCK


cdef class CallColumns:
    cdef public long long size
    cdef public bint has_unknown
    cdef public const long long[::1] starts, ended_before, by_end, ends, tooks
    cdef public const unsigned char[::1] outcomes


cdef class Progress:
    cdef public CallColumns calls
    cdef public long long number, place, at, epoch, since, before
    cdef public Ring refused, probes
    cdef public bint is_shadow, is_shared
    cdef public Window lower, upper
    cdef Rows alike


cpdef int simulate(State state, Progress progress) except? -99
@cython.locals(calls=CallColumns, place="long long", at="long long", took="long long", kind="int", probe="long long", rule="int")
cpdef int suppose(State state, Progress progress, bint failed, bint slow) except? -99
@cython.locals(ranges=Ring, low="long long", high="long long", middle="long long", place="long long")
cpdef bint is_let_through(Progress progress, long long call)
@cython.locals(ranges=Ring)
cpdef forget_refused(Progress progress, long long number)
@cython.locals(probes=Ring, low="long long", high="long long", middle="long long", place="long long")
cdef long long _probe_of(Progress progress, long long call) noexcept
@cython.locals(ranges=Ring, place="long long")
cdef long long _refuse(Progress progress, long long number) except -1
@cython.locals(step_="long long", low="long long", high="long long", middle="long long")
cdef long long _first_from(const long long[::1] times, long long number, long long size, long long at) noexcept
cdef long long _started_before(CallColumns calls, long long place) noexcept
@cython.locals(calls=CallColumns, place="long long", stop="long long", last="long long")
cdef int _simulate_closed(State state, Progress progress) except? -99
@cython.locals(calls=CallColumns, rows=Rows)
cdef Rows _rows_of(Progress progress, long long start, long long stop)
@cython.locals(calls=CallColumns, slow_ns="long long", place="long long", at="long long", took="long long", kind="int", calls_before="long long", held="long long", is_bad="bint", limits=Thresholds)
cdef long long _simulate_singly(State state, Progress progress, long long start, long long stop) except -1
@cython.locals(calls=CallColumns, size="long long", number="long long", place="long long", call="long long", probe="long long", is_due="bint")
cdef int _simulate_not_closed(State state, Progress progress) except? -99
cpdef assume(State state, State other)
cpdef key_of(State state)
cpdef window_key_of(Window window)
