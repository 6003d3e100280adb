"""The rules of the breaker: the one statement of them, in whole numbers.

This file is compiled by Cython, with the types of ``kernel.pxd``, and runs interpreted where there
is no compiler; ``RECLOSER_PURE=1`` runs it interpreted anywhere. Both decide the same, because
every number fits into 64 bits: ``limits_of`` in ``rules.py`` refuses settings with which one might
not. Times and durations are in nanoseconds of the log.

Nothing here changes ``State.where``. A function that finds that a rule fires returns the number of
the rule; the caller takes the edge on the one declared machine, which sets ``where``, and calls
``enter``.
"""

from array import array

_CLOSED = 0
_OPEN = 1
_HALF_OPEN = 2
CLOSED, OPEN, HALF_OPEN = _CLOSED, _OPEN, _HALF_OPEN

_SUCCEEDED = 0
_FAILED = 1
_IGNORED = 2
_REJECTED = 3
_ADMITTED = 4
SUCCEEDED, FAILED, IGNORED, REJECTED, ADMITTED = (
    _SUCCEEDED,
    _FAILED,
    _IGNORED,
    _REJECTED,
    _ADMITTED,
)

_NO_RULE = 0
_CONSECUTIVE_FAILURES = 1
_WINDOW_FAILURES = 2
_FAILURE_RATE = 3
_SLOW_CALL_RATE = 4
_COOLDOWN = 5
_PROBE_FAILED = 6
_PROBE_TIMEOUT = 7
_PROBE_SUCCESSES = 8
_PROBE_WINDOW = 9
_HALF_OPEN_TIMEOUT = 10
_FUTURE_EPOCH = -1
_ADMITS_NO_PROBE = -2
_NO_PLACE_FOR_A_PROBE = -3
_WRONG_PROBE_NUMBER = -4
NO_RULE = _NO_RULE
(
    CONSECUTIVE_FAILURES,
    WINDOW_FAILURES,
    FAILURE_RATE,
    SLOW_CALL_RATE,
    COOLDOWN,
    PROBE_FAILED,
    PROBE_TIMEOUT,
    PROBE_SUCCESSES,
    PROBE_WINDOW,
    HALF_OPEN_TIMEOUT,
) = range(1, 11)
FUTURE_EPOCH, ADMITS_NO_PROBE, NO_PLACE_FOR_A_PROBE, WRONG_PROBE_NUMBER = (-1, -2, -3, -4)

_ALLOWED = 0
_PROBE = 1
_COOLING = 2
_FORCED = 3
_EXHAUSTED = 4
_DISABLED = 5
ALLOWED, PROBE, COOLING, FORCED, EXHAUSTED, DISABLED = range(6)

_NEVER = (1 << 63) - 1
NEVER = _NEVER
_SECOND = 1_000_000_000
_BUCKET = 6  # second, first seq, last seq, calls, failures, slow calls
_FIRST_CAPACITY = 8


class Thresholds:
    """Numbers against which a window is held.

    Attributes:
        size: How many outcomes the window holds, or how many seconds if ``is_timed``.
        is_timed: Whether it is a window of seconds.
        needed: How many outcomes must be in it before a rate counts.
        failures: Number of failures at which it trips; 0 for none.
        failure_num, failure_den: Failure rate as a fraction; ``failure_den`` is 0 for none.
        slow_num, slow_den: The same of slow calls.
    """

    def __init__(
        self,
        size,
        is_timed,
        needed,
        failures,
        failure_num,
        failure_den,
        slow_num,
        slow_den,
    ):
        self.size = size
        self.is_timed = is_timed
        self.needed = needed
        self.failures = failures
        self.failure_num = failure_num
        self.failure_den = failure_den
        self.slow_num = slow_num
        self.slow_den = slow_den


class Rules:
    """Settings of a breaker in numbers.

    Attributes:
        failure_threshold: Failures in a row that open it; 0 for none.
        window: Thresholds of its window; None without one.
        slow_ns: A call that took longer is slow; ``NEVER`` if none is.
        success_threshold: Successful probes that close it.
        max_probes: How many probes may be under way.
        probe_window: Thresholds of the window over probes; None without one.
        half_open_timeout_ns: A half-open breaker that takes longer opens again; ``NEVER`` for none.
        probe_timeout_ns: A probe that has not reported after this counts as failed.
    """

    def __init__(
        self,
        failure_threshold,
        window,
        slow_ns,
        success_threshold,
        max_probes,
        probe_window,
        half_open_timeout_ns,
        probe_timeout_ns,
    ):
        self.failure_threshold = failure_threshold
        self.window = window
        self.slow_ns = slow_ns
        self.success_threshold = success_threshold
        self.max_probes = max_probes
        self.probe_window = probe_window
        self.half_open_timeout_ns = half_open_timeout_ns
        self.probe_timeout_ns = probe_timeout_ns


class Ring:
    """A queue of 64-bit numbers that grows with what is put in, ``width`` of them an item.

    Attributes:
        items: The numbers.
        width: How many of them are an item.
        first: Place of the oldest item, in items.
        length: How many items there are.
        capacity: How many fit before it has to grow.
    """

    def __init__(self, width):
        self.width = width
        self.first = 0
        self.length = 0
        self.capacity = 0
        self.items = None

    def copy(self):
        """A ring of the same items that shares nothing with this one."""
        other = Ring(self.width)
        other.first = self.first
        other.length = self.length
        other.capacity = self.capacity
        if self.items is not None:
            other.items = array("q", self.items)
        return other

    def to_list(self):
        """All numbers, from the oldest item to the newest."""
        if self.items is None:
            return []
        numbers = list(self.items)
        begin = self.first * self.width
        whole = numbers[begin:] + numbers[:begin]
        return whole[: self.length * self.width]

    def clear(self):
        """Drop all items."""
        self.first = 0
        self.length = 0


def _grow(ring):
    """Double the room of a ring, its oldest item first; how many items fit then."""
    capacity = ring.capacity * 2 if ring.capacity else _FIRST_CAPACITY
    numbers = array("q", bytes(8 * capacity * ring.width))
    kept = ring.to_list()
    numbers[: len(kept)] = array("q", kept)
    ring.items = numbers
    ring.first = 0
    ring.capacity = capacity
    return capacity


def _pushed(ring):
    """Place, in numbers, of a new item at the end."""
    if ring.length == ring.capacity:
        _grow(ring)
    place = ring.first + ring.length
    if place >= ring.capacity:
        place -= ring.capacity
    ring.length += 1
    return place * ring.width


def _popped(ring):
    """Place, in numbers, of the oldest item, which is dropped."""
    place = ring.first
    ring.first += 1
    if ring.first == ring.capacity:
        ring.first = 0
    ring.length -= 1
    return place * ring.width


def _last(ring):
    """Place, in numbers, of the newest item."""
    place = ring.first + ring.length - 1
    if place >= ring.capacity:
        place -= ring.capacity
    return place * ring.width


class Window:
    """Outcomes in a window, and how many of them failed or were slow.

    A window of outcomes keeps each as ``seq << 2 | failed << 1 | slow``; one of seconds keeps a
    bucket for each whole second that has any: the second, the ``seq`` of its first and last
    outcome, and how many calls, failures and slow calls there were.
    """

    def __init__(self, thresholds):
        self.thresholds = thresholds
        self.calls = 0
        self.failures = 0
        self.slow = 0
        self.ring = Ring(_BUCKET if thresholds.is_timed else 1)

    def copy(self):
        """A window of the same outcomes that shares nothing with this one."""
        other = Window(self.thresholds)
        other.calls = self.calls
        other.failures = self.failures
        other.slow = self.slow
        other.ring = self.ring.copy()
        return other

    def span(self):
        """The ``seq`` of the first and the last outcome in it."""
        first = self.ring.first * self.ring.width
        last = _last(self.ring)
        if self.thresholds.is_timed:
            return self.ring.items[first + 1], self.ring.items[last + 2]
        return self.ring.items[first] >> 2, self.ring.items[last] >> 2


class Rows:
    """Events about one breaker, as columns of equal length.

    Attributes:
        kind: ``SUCCEEDED`` and so on, of 8 bits; the others are of 64.
        seq, at, took, epoch, probe, count: As in ``step``.
    """

    def __init__(self, kind, seq, at, took, epoch, probe, count):
        self.kind = kind
        self.seq = seq
        self.at = at
        self.took = took
        self.epoch = epoch
        self.probe = probe
        self.count = count


class State:
    """What the rules know of one breaker.

    Attributes:
        rules: Its settings.
        is_disabled: Whether it decides nothing.
        where: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
        epoch: How many edges it has taken.
        is_forced: Held open by an operator.
        opened_at, half_open_at: Since when it is open, or half-open; -1 unless it is.
        deadline: When the next timed edge is due; ``NEVER`` where only a call can move it.
        consecutive_failures: Length of the current run of failures in CLOSED.
        failure_seqs: The ``seq`` of each of them, while that rule is on.
        window, probe_window: Outcomes in its windows; None without one, or elsewhere.
        probes_admitted: Probes let through in this epoch.
        probes: Number and time of each that has not reported, in their order.
        probe_seqs: The ``seq`` of each probe of this epoch that succeeded.
        fired: The rule at which ``run`` has stopped.
        is_timed: Whether that was a timed one, in front of the row.
        waited: How long what a timed rule is about had lasted when it fired.
        succeeded, failed, ignored, rejected, stale: Outcomes since the log began.
    """

    def __init__(self, rules):
        self.rules = rules
        self.is_disabled = False
        self.where = _CLOSED
        self.epoch = 0
        self.is_forced = False
        self.opened_at = -1
        self.half_open_at = -1
        self.deadline = _NEVER
        self.consecutive_failures = 0
        self.failure_seqs = None
        self.window = None
        self.probes_admitted = 0
        self.probes = None
        self.probe_seqs = None
        self.probe_window = None
        self.waited = 0
        self.fired = _NO_RULE
        self.is_timed = False
        self.succeeded = 0
        self.failed = 0
        self.ignored = 0
        self.rejected = 0
        self.stale = 0
        start_windows(self)


# Windows.


def _let_go(window, second):
    """Drop the buckets up to ``second``."""
    ring = window.ring
    while ring.length and ring.items[ring.first * _BUCKET] <= second:
        place = _popped(ring)
        window.calls -= ring.items[place + 3]
        window.failures -= ring.items[place + 4]
        window.slow -= ring.items[place + 5]


def _add(window, seq, at, count, failed, slow):
    """Take in like outcomes of one event, and let go of those that are too old.

    Returns:
        How many outcomes are in it then.
    """
    ring = window.ring
    if window.thresholds.is_timed:
        second = at // _SECOND
        _let_go(window, second - window.thresholds.size)
        place = _last(ring) if ring.length else 0
        if not ring.length or ring.items[place] != second:
            place = _pushed(ring)
            ring.items[place] = second
            ring.items[place + 1] = seq
            ring.items[place + 3] = ring.items[place + 4] = ring.items[place + 5] = 0
        ring.items[place + 2] = seq
        ring.items[place + 3] += count
        ring.items[place + 4] += count * failed
        ring.items[place + 5] += count * slow
        window.calls += count
        window.failures += count * failed
        window.slow += count * slow
        return window.calls
    code = seq << 2 | failed << 1 | slow
    size = window.thresholds.size
    left = count if count < size else size
    while left:
        if ring.length == size:
            old = ring.items[_popped(ring)]
            window.failures -= old >> 1 & 1
            window.slow -= old & 1
        place = _pushed(ring)
        ring.items[place] = code
        window.failures += failed
        window.slow += slow
        left -= 1
    window.calls = ring.length
    return window.calls


def _reached(window):
    """The first threshold that the outcomes in the window reach; ``NO_RULE`` if none."""
    limits = window.thresholds
    if limits.failures and window.failures >= limits.failures:
        return _WINDOW_FAILURES
    if window.calls < limits.needed:
        return _NO_RULE
    if limits.failure_den and (
        window.failures * limits.failure_den >= limits.failure_num * window.calls
    ):
        return _FAILURE_RATE
    if limits.slow_den and window.slow * limits.slow_den >= limits.slow_num * window.calls:
        return _SLOW_CALL_RATE
    return _NO_RULE


# Entry points.


def may_probe(state):
    """Whether a half-open breaker has a place for one more probe."""
    under_way = state.probes.length if state.probes is not None else 0
    if state.probe_window is None:
        return under_way < state.rules.max_probes
    return under_way + state.probe_window.calls < state.probe_window.thresholds.size


def decide(state):
    """What the breaker answers as long as no event comes and no deadline passes.

    Returns:
        ``ALLOWED``, ``PROBE`` or ``DISABLED`` where it lets a call through; ``COOLING``, ``FORCED``
        or ``EXHAUSTED`` where it refuses one.
    """
    if state.is_disabled:
        return _DISABLED
    if state.where == _CLOSED:
        return _ALLOWED
    if state.where == _OPEN:
        return _FORCED if state.is_forced else _COOLING
    return _PROBE if may_probe(state) else _EXHAUSTED


def advance(state, seq, at):
    """Let it be ``at``: take what is due by then that fires nothing, up to the first rule that does.

    Args:
        state: The state, which is changed.
        seq: Number of the event at which that is noticed.
        at: Its time.

    Returns:
        The rule that fired, or ``NO_RULE``. After the edge it has to be called again.
    """
    while at >= state.deadline:
        if state.where == _OPEN:
            state.waited = at - state.opened_at
            return _COOLDOWN
        if _is_probe_overdue(state):
            rule = _expire_probe(state, seq, at)
            if rule:
                return rule
        else:
            state.waited = at - state.half_open_at
            return _HALF_OPEN_TIMEOUT
    return _NO_RULE


def step(state, kind, seq, at, took, epoch, probe, count):
    """Apply one event about the breaker, behind all that is due at ``at``.

    Args:
        state: The state, which is changed.
        kind: ``SUCCEEDED``, ``FAILED``, ``IGNORED``, ``REJECTED`` or ``ADMITTED``.
        seq: Its number in the log.
        at: Its time.
        took: How long the call took.
        epoch: In which epoch the call was let through.
        probe: Which probe it is; 0 for none.
        count: How many like calls it stands for.

    Returns:
        The rule that fired, ``NO_RULE``, or a negative number where the event can't have happened.
    """
    if kind == _REJECTED:
        state.rejected += count
        return _NO_RULE
    if kind == _ADMITTED:
        return _admit(state, at, epoch, probe)
    if epoch > state.epoch:
        return _FUTURE_EPOCH
    if state.is_disabled:
        _count(state, kind, count)
        return _NO_RULE
    if epoch < state.epoch or state.where == _OPEN:
        state.stale += count
        return _NO_RULE
    if state.where == _CLOSED:
        return _step_closed(state, kind, seq, at, took, count)
    return _step_half_open(state, kind, seq, at, took, probe, count)


def enter(state, at, wait_ns):
    """Begin an epoch, after the machine has set ``where``.

    Args:
        state: The state, which is changed.
        at: When the edge was taken.
        wait_ns: How long an open breaker cools; -1 where it is forced open.

    Returns:
        The rule that fires at once, or ``NO_RULE``.
    """
    state.epoch += 1
    state.is_forced = state.where == _OPEN and wait_ns < 0
    state.opened_at = state.half_open_at = -1
    state.deadline = _NEVER
    state.consecutive_failures = 0
    state.failure_seqs = None
    state.probes_admitted = 0
    state.probes = None
    state.probe_seqs = None
    start_windows(state)
    if state.where == _OPEN:
        state.opened_at = at
        if wait_ns >= 0:
            state.deadline = at + wait_ns
    elif state.where == _HALF_OPEN:
        state.half_open_at = at
        _set_half_open_deadline(state)
        if state.probe_window is None and state.rules.success_threshold == 0:
            return _PROBE_SUCCESSES
    return _NO_RULE


def start_windows(state):
    """Begin empty windows for where the breaker is."""
    state.window = state.probe_window = None
    if state.where == _CLOSED and state.rules.window is not None:
        state.window = Window(state.rules.window)
    elif state.where == _HALF_OPEN and state.rules.probe_window is not None:
        state.probe_window = Window(state.rules.probe_window)


def reconfigure(state, rules, is_disabled):
    """Go on under other settings: what was counted under the old ones is no evidence under these."""
    state.rules = rules
    state.is_disabled = is_disabled
    state.consecutive_failures = 0
    state.failure_seqs = None
    start_windows(state)
    if state.where == _HALF_OPEN:
        forget_probes(state)


def forget_probes(state):
    """Wait for no probe that is under way: its permit is void."""
    state.probes = None
    if state.where == _HALF_OPEN:
        _set_half_open_deadline(state)


def run(state, rows, start, stop):
    """Apply rows of one breaker until a rule fires.

    Args:
        state: The state, which is changed; ``state.is_timed`` says whether the rule that fired is a
            timed one, in front of the row that is returned, which is not applied then.
        rows: The rows, in their order.
        start: The first to apply.
        stop: Behind the last.

    Returns:
        The row at which a rule fired, which is in ``state.fired``; ``stop`` if none did.
    """
    state.fired = _NO_RULE
    state.is_timed = False
    row = start
    while row < stop:
        if state.where == _CLOSED and not state.is_disabled:
            row = _run_closed(state, rows, row, stop)
            if state.fired or row == stop:
                return row
        if rows.at[row] >= state.deadline:
            state.fired = advance(state, rows.seq[row], rows.at[row])
            if state.fired:
                state.is_timed = True
                return row
        state.fired = step(
            state,
            rows.kind[row],
            rows.seq[row],
            rows.at[row],
            rows.took[row],
            rows.epoch[row],
            rows.probe[row],
            rows.count[row],
        )
        if state.fired:
            return row
        row += 1
    return stop


# Where the breaker is closed.


def _count(state, kind, count):
    if kind == _SUCCEEDED:
        state.succeeded += count
    elif kind == _FAILED:
        state.failed += count
    else:
        state.ignored += count


def _run_closed(state, rows, start, stop):
    """Apply rows to a closed breaker, up to the first that fires a rule or is of another epoch."""
    epoch = state.epoch
    slow_ns = state.rules.slow_ns
    threshold = state.rules.failure_threshold
    window = state.window
    failures = state.consecutive_failures
    succeeded = 0
    seqs = state.failure_seqs
    row = start
    while row < stop:
        kind = rows.kind[row]
        if kind >= _REJECTED or rows.epoch[row] != epoch:
            state.consecutive_failures = failures
            state.fired = step(
                state,
                kind,
                rows.seq[row],
                rows.at[row],
                rows.took[row],
                rows.epoch[row],
                rows.probe[row],
                rows.count[row],
            )
            if state.fired:
                break
            row += 1
            continue
        if kind == _SUCCEEDED:
            succeeded += rows.count[row]
            failures = 0
        elif kind == _FAILED:
            state.failed += 1
            failures += 1
            if threshold:
                if seqs is None:
                    seqs = state.failure_seqs = Ring(1)
                if failures == 1:
                    seqs.first = seqs.length = 0
                place = _pushed(seqs)
                seqs.items[place] = rows.seq[row]
                if failures >= threshold:
                    state.fired = _CONSECUTIVE_FAILURES
                    break
        else:
            state.ignored += 1
            row += 1
            continue
        if window is not None:
            _add(
                window,
                rows.seq[row],
                rows.at[row],
                rows.count[row],
                kind == _FAILED,
                rows.took[row] > slow_ns,
            )
            if window.failures or window.slow:
                state.fired = _reached(window)
                if state.fired:
                    break
        row += 1
    state.succeeded += succeeded
    state.consecutive_failures = failures
    if not failures and seqs is not None:
        seqs.clear()
    return row


def _step_closed(state, kind, seq, at, took, count):
    if kind == _IGNORED:
        state.ignored += count
        return _NO_RULE
    if kind == _SUCCEEDED:
        state.succeeded += count
        if state.consecutive_failures:
            state.consecutive_failures = 0
            if state.failure_seqs is not None:
                state.failure_seqs.clear()
    else:
        state.failed += count
        state.consecutive_failures += 1
        if state.rules.failure_threshold:
            if state.failure_seqs is None:
                state.failure_seqs = Ring(1)
            place = _pushed(state.failure_seqs)
            state.failure_seqs.items[place] = seq
            if state.consecutive_failures >= state.rules.failure_threshold:
                return _CONSECUTIVE_FAILURES
    if state.window is None:
        return _NO_RULE
    _add(state.window, seq, at, count, kind == _FAILED, took > state.rules.slow_ns)
    return _reached(state.window)


# Where it is half-open.


def _admit(state, at, epoch, probe):
    if state.where != _HALF_OPEN or epoch != state.epoch:
        return _ADMITS_NO_PROBE
    if not may_probe(state):
        return _NO_PLACE_FOR_A_PROBE
    if probe != state.probes_admitted + 1:
        return _WRONG_PROBE_NUMBER
    state.probes_admitted += 1
    if state.probes is None:
        state.probes = Ring(2)
    place = _pushed(state.probes)
    state.probes.items[place] = probe
    state.probes.items[place + 1] = at
    _set_half_open_deadline(state)
    return _NO_RULE


def _index_of(state, probe):
    """Which of the probes under way it is, from the oldest on; -1 if it is none of them."""
    probes = state.probes
    if probes is None:
        return -1
    low, high = 0, probes.length
    while low < high:
        middle = (low + high) // 2
        place = probes.first + middle
        if place >= probes.capacity:
            place -= probes.capacity
        if probes.items[place * 2] < probe:
            low = middle + 1
        else:
            high = middle
    if low == probes.length:
        return -1
    place = probes.first + low
    if place >= probes.capacity:
        place -= probes.capacity
    return low if probes.items[place * 2] == probe else -1


def _remove_probe(state, index):
    """Take a probe off those under way; O(1) for the oldest."""
    probes = state.probes
    # What came before it moves up by one, so that the oldest place is the one that is free.
    for before in range(index, 0, -1):
        to = probes.first + before
        if to >= probes.capacity:
            to -= probes.capacity
        source = to - 1 if to else probes.capacity - 1
        probes.items[to * 2] = probes.items[source * 2]
        probes.items[to * 2 + 1] = probes.items[source * 2 + 1]
    _popped(probes)


def _step_half_open(state, kind, seq, at, took, probe, count):
    index = _index_of(state, probe)
    if index < 0:
        state.stale += count
        return _NO_RULE
    _count(state, kind, count)
    _remove_probe(state, index)
    rule = _NO_RULE
    if kind == _IGNORED:
        pass
    elif state.probe_window is not None:
        if kind == _SUCCEEDED:
            _note_success(state, seq)
        rule = _judge(state, seq, at, kind == _FAILED, took > state.rules.slow_ns)
    elif kind == _FAILED:
        rule = _PROBE_FAILED
    else:
        _note_success(state, seq)
        if state.probe_seqs.length >= state.rules.success_threshold:
            rule = _PROBE_SUCCESSES
    if not rule:
        _set_half_open_deadline(state)
    return rule


def _note_success(state, seq):
    if state.probe_seqs is None:
        state.probe_seqs = Ring(1)
    place = _pushed(state.probe_seqs)
    state.probe_seqs.items[place] = seq
    return place


def _judge(state, seq, at, failed, slow):
    """Take a probe that has ended into the window over probes, and decide by that."""
    window = state.probe_window
    _add(window, seq, at, 1, failed, slow)
    rule = _reached(window)
    if rule == _NO_RULE and window.calls >= window.thresholds.needed:
        return _PROBE_WINDOW
    return rule


def _is_probe_overdue(state):
    """Whether it is the oldest probe that is due at the deadline, and not the half-open time-out."""
    probes = state.probes
    if probes is None or not probes.length:
        return False
    began_at = probes.items[probes.first * 2 + 1]
    return began_at + state.rules.probe_timeout_ns == state.deadline


def _expire_probe(state, seq, at):
    """Count the oldest probe as failed, as it has not reported in time."""
    probes = state.probes
    state.waited = at - probes.items[_popped(probes) + 1]
    if state.probe_window is None:
        return _PROBE_TIMEOUT
    timeout = state.rules.probe_timeout_ns
    rule = _judge(state, seq, at, True, timeout > state.rules.slow_ns)
    if not rule:
        _set_half_open_deadline(state)
    return rule


def _set_half_open_deadline(state):
    """When the first probe under way, or the half-open state itself, takes too long."""
    deadline = _NEVER
    if state.rules.half_open_timeout_ns != _NEVER:
        deadline = state.half_open_at + state.rules.half_open_timeout_ns
    probes = state.probes
    if probes is not None and probes.length:
        deadline = min(deadline, probes.items[probes.first * 2 + 1] + state.rules.probe_timeout_ns)
    state.deadline = deadline


# Calls whose ends are known, as imported traffic has them.

_UNKNOWN = 3
UNKNOWN = _UNKNOWN
_ASKS_OUTCOME = -5
_ASKS_WINDOW = -6
_IS_DUE = -7
ASKS_OUTCOME, ASKS_WINDOW, IS_DUE = (_ASKS_OUTCOME, _ASKS_WINDOW, _IS_DUE)
_BLOCK = 2048  # calls at a time: what stands beside them stays in the nearest cache


class CallColumns:
    """The calls of one breaker, as columns of equal length.

    A call has a number in the order of the starts, and a place in the order of the ends.

    Attributes:
        size: How many calls there are.
        starts: When each started, by its number.
        ended_before: How many have ended before each starts, by its number.
        by_end: The number of each, by its place.
        ends, tooks, outcomes: When it ended, how long it took, and how it ended, by its place:
            ``SUCCEEDED``, ``FAILED``, ``IGNORED`` or ``UNKNOWN``, of 8 bits.
        has_unknown: Whether any outcome is ``UNKNOWN``.
    """

    def __init__(self, starts, ended_before, by_end, ends, tooks, outcomes, has_unknown):
        self.size = len(starts)
        self.starts = starts
        self.ended_before = ended_before
        self.by_end = by_end
        self.ends = ends
        self.tooks = tooks
        self.outcomes = outcomes
        self.has_unknown = has_unknown


class Progress:
    """How far a breaker has come in its calls.

    Attributes:
        calls: The calls.
        number, place: The next start and the next end to be looked at; of a closed breaker ``number``
            is right where ``simulate`` returns.
        at: When the rule fired that ``simulate`` has returned.
        epoch: The epoch of the state when it was last looked at.
        since: The number of the first call that starts in this epoch.
        before: How many calls that started before that have not been passed by ``place``.
        refused: First number and the number behind of each row of calls that were refused.
        probes: The number of each call of this epoch that was let through as a probe.
        is_shadow: Whether refused calls are made all the same, so that their ends are noticed.
        is_shared: Whether to stop where a deadline is due, since others may notice that before.
        lower, upper: The window of a closed breaker while it holds unknown outcomes: as if each
            had been a quick success, and as if each had been a slow failure; else None.
    """

    def __init__(self, calls, is_shadow=False, is_shared=False):
        self.calls = calls
        self.number = 0
        self.place = 0
        self.at = 0
        self.epoch = -1
        self.since = 0
        self.before = 0
        self.refused = Ring(2)
        self.probes = Ring(1)
        self.is_shadow = is_shadow
        self.is_shared = is_shared
        self.lower = None
        self.upper = None
        self.alike = None

    def copy(self):
        """The same progress, to go on apart from this one."""
        other = Progress(self.calls, self.is_shadow, self.is_shared)
        other.number = self.number
        other.place = self.place
        other.at = self.at
        other.epoch = self.epoch
        other.since = self.since
        other.before = self.before
        other.refused = self.refused.copy()
        other.probes = self.probes.copy()
        other.lower = None if self.lower is None else self.lower.copy()
        other.upper = None if self.upper is None else self.upper.copy()
        return other


def simulate(state, progress):
    """Ask at each call's start and report at its end, until a rule fires.

    Calls go in the order of time: at one instant ends before starts, except that a call without
    duration ends behind its own start.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.

    Returns:
        The rule that fired, at ``progress.at``; after its edge it goes on where it has stopped.
        ``NO_RULE`` where the calls are at their end. ``ASKS_OUTCOME`` where an unknown outcome
        counts, and ``ASKS_WINDOW`` where unknown outcomes in the window decide; then ``suppose``
        says how it was. ``IS_DUE`` at a start or end that finds the deadline passed, where the
        breaker ``is_shared``.
    """
    if progress.epoch != state.epoch:
        progress.epoch = state.epoch
        progress.since = progress.number
        progress.before = progress.number - progress.place
        progress.probes.clear()
        progress.alike = None
        progress.lower = progress.upper = None
    state.fired = _NO_RULE
    if state.where == _CLOSED:
        return _simulate_closed(state, progress)
    return _simulate_not_closed(state, progress)


def suppose(state, progress, failed, slow):
    """Take the unknown outcome at which ``simulate`` has stopped to be so.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.
        failed: Whether the call failed.
        slow: Whether it was slow; that of a closed breaker's window is not asked.

    Returns:
        The rule that fires then, ``NO_RULE`` or ``ASKS_WINDOW``.
    """
    calls = progress.calls
    place = progress.place
    at = progress.at = calls.ends[place]
    progress.place += 1
    kind = _FAILED if failed else _SUCCEEDED
    if state.where == _HALF_OPEN:
        took = _NEVER if slow else 0
        probe = _probe_of(progress, calls.by_end[place])
        return step(state, kind, place, at, took, state.epoch, probe, 1)
    if progress.upper is None and state.window is not None:
        progress.lower = state.window
        progress.upper = state.window.copy()
        state.window = None
    rule = _step_closed(state, kind, place, at, 0, 1)
    if rule == _NO_RULE and progress.lower is not None:
        _add(progress.lower, place, at, 1, False, False)
        _add(progress.upper, place, at, 1, True, True)
        rule = _reached(progress.lower)
        if rule == _NO_RULE and _reached(progress.upper):
            rule = _ASKS_WINDOW
    if rule:
        progress.number = _started_before(calls, place)
    return rule


def is_let_through(progress, call):
    """Whether a call that has started, of this epoch or one before, was let through."""
    if progress.is_shadow:
        return True
    ranges = progress.refused
    low, high = 0, ranges.length
    while low < high:
        middle = (low + high) // 2
        place = ranges.first + middle
        if place >= ranges.capacity:
            place -= ranges.capacity
        if ranges.items[place * 2 + 1] <= call:
            low = middle + 1
        else:
            high = middle
    if low == ranges.length:
        return True
    place = ranges.first + low
    if place >= ranges.capacity:
        place -= ranges.capacity
    return call < ranges.items[place * 2]


def forget_refused(progress, number):
    """Drop the rows of refused calls in front of ``number``, all of which have ended."""
    ranges = progress.refused
    while ranges.length and ranges.items[ranges.first * 2 + 1] <= number:
        _popped(ranges)


def _probe_of(progress, call):
    """Which probe of this epoch a call is; 0 if it is none."""
    probes = progress.probes
    low, high = 0, probes.length
    while low < high:
        middle = (low + high) // 2
        place = probes.first + middle
        if place >= probes.capacity:
            place -= probes.capacity
        if probes.items[place] < call:
            low = middle + 1
        else:
            high = middle
    if low == probes.length:
        return 0
    place = probes.first + low
    if place >= probes.capacity:
        place -= probes.capacity
    return low + 1 if probes.items[place] == call else 0


def _refuse(progress, number):
    """Refuse the calls from the next one up to ``number``."""
    ranges = progress.refused
    if number == progress.number:
        return number
    place = _last(ranges) if ranges.length else 0
    if ranges.length and ranges.items[place + 1] == progress.number:
        ranges.items[place + 1] = number
    else:
        place = _pushed(ranges)
        ranges.items[place] = progress.number
        ranges.items[place + 1] = number
    progress.number = number
    return number


def _first_from(times, number, size, at):
    """The first of the times from ``number`` on that is ``at`` or later; near ones are found soonest."""
    step_ = 1
    low = number
    while low + step_ <= size and times[low + step_ - 1] < at:
        low += step_
        step_ *= 2
    high = low + step_ - 1 if low + step_ <= size else size
    while low < high:
        middle = (low + high) // 2
        if times[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


def _started_before(calls, place):
    """How many calls have started before the one at ``place`` ends."""
    return _first_from(calls.ended_before, place + 1, calls.size, place + 1)


def _simulate_closed(state, progress):
    calls = progress.calls
    place = progress.place
    while place < calls.size:
        stop = place + _BLOCK if place + _BLOCK < calls.size else calls.size
        # Calls that started before this epoch were refused, or it is too late for their outcome.
        if progress.before:
            while place < stop and calls.by_end[place] < progress.since:
                place += 1
                progress.before -= 1
            last = place
            while last < stop and calls.by_end[last] >= progress.since:
                last += 1
            stop = last
        if calls.has_unknown:
            last = place
            while last < stop and calls.outcomes[last] != _UNKNOWN:
                last += 1
            if last == place and last < stop:
                progress.place = place
                if state.rules.failure_threshold and not state.is_disabled:
                    return _ASKS_OUTCOME
                state.fired = suppose(state, progress, False, False)
                if state.fired:
                    return state.fired
                place = progress.place
                continue
            stop = last
        if place == stop:
            continue
        if state.is_disabled or progress.lower is not None:
            place = _simulate_singly(state, progress, place, stop)
        else:
            place += _run_closed(state, _rows_of(progress, place, stop), 0, stop - place)
        if state.fired:
            progress.at = calls.ends[place]
            progress.number = _started_before(calls, place)
            progress.place = place + 1
            return state.fired
    progress.place = progress.number = calls.size
    return _NO_RULE


def _rows_of(progress, start, stop):
    """The ends of calls from place ``start`` up to ``stop``, as events of the state's epoch."""
    calls = progress.calls
    if progress.alike is None:
        zeros = memoryview(array("q", bytes(8 * _BLOCK)))
        epochs = memoryview(array("q", [progress.epoch]) * _BLOCK)
        ones = memoryview(array("q", [1]) * _BLOCK)
        progress.alike = Rows(
            calls.outcomes[:0], zeros, calls.ends[:0], calls.tooks[:0], epochs, zeros, ones
        )
    rows = progress.alike
    rows.kind = calls.outcomes[start:stop]
    rows.at = calls.ends[start:stop]
    rows.took = calls.tooks[start:stop]
    return rows


def _simulate_singly(state, progress, start, stop):
    """Report the outcomes of this epoch one by one; the place at which a rule fires, or ``stop``.

    Its window is apart from the state while it holds unknown outcomes.
    """
    calls = progress.calls
    slow_ns = state.rules.slow_ns
    for place in range(start, stop):
        kind = calls.outcomes[place]
        at = calls.ends[place]
        took = calls.tooks[place]
        state.fired = step(state, kind, place, at, took, state.epoch, 0, 1)
        if state.fired:
            return place
        if progress.lower is None or kind == _IGNORED:
            continue
        calls_before = progress.lower.calls
        limits = progress.lower.thresholds
        is_bad = kind == _FAILED or (limits.slow_den and took > slow_ns)
        _add(progress.lower, place, at, 1, kind == _FAILED, took > slow_ns)
        _add(progress.upper, place, at, 1, kind == _FAILED, took > slow_ns)
        state.fired = _reached(progress.lower)
        if state.fired == _NO_RULE and _reached(progress.upper):
            # The outcome before did not trip it. Behind that, a number has risen only where this one
            # is bad, and a share only where it completes the minimum, or lets others go as the
            # first of a second.
            held = progress.lower.calls
            if is_bad or (
                held >= limits.needed
                and (calls_before < limits.needed or (limits.is_timed and held != calls_before + 1))
            ):
                state.fired = _ASKS_WINDOW
        if state.fired:
            return place
        if (
            progress.lower.failures == progress.upper.failures
            and progress.lower.slow == progress.upper.slow
        ):
            # No unknown outcome is left in it.
            state.window = progress.lower
            progress.lower = progress.upper = None
            return place + 1
    return stop


def _simulate_not_closed(state, progress):
    calls = progress.calls
    size = calls.size
    while progress.number < size or progress.place < size:
        if state.where == _OPEN:
            # Nothing is noticed before the deadline.
            number = _first_from(calls.starts, progress.number, size, state.deadline)
            _refuse(progress, number)
            place = _first_from(calls.ends, progress.place, size, state.deadline)
            if number < size and calls.ended_before[number] < place:
                place = calls.ended_before[number]
            progress.place = place
            if number == size and place == size:
                break
        place = progress.place
        number = progress.number
        if place < size and (number == size or place < calls.ended_before[number]):
            call = calls.by_end[place]
            progress.at = calls.ends[place]
            is_due = progress.at >= state.deadline
            if call < progress.since and not is_due or not is_let_through(progress, call):
                progress.place += 1
                continue
            if is_due:
                if progress.is_shared:
                    return _IS_DUE
                state.fired = advance(state, place, progress.at)
                if state.fired:
                    return state.fired
            if call >= progress.since:
                probe = _probe_of(progress, call)
                if calls.outcomes[place] == _UNKNOWN:
                    if _index_of(state, probe) >= 0:
                        return _ASKS_OUTCOME
                else:
                    state.fired = step(
                        state,
                        calls.outcomes[place],
                        place,
                        progress.at,
                        calls.tooks[place],
                        state.epoch,
                        probe,
                        1,
                    )
            progress.place += 1
        else:
            progress.at = calls.starts[number]
            if progress.at >= state.deadline:
                if progress.is_shared:
                    return _IS_DUE
                state.fired = advance(state, number, progress.at)
                if state.fired:
                    return state.fired
            if decide(state) == _PROBE:
                step(
                    state,
                    _ADMITTED,
                    number,
                    progress.at,
                    0,
                    state.epoch,
                    state.probes_admitted + 1,
                    1,
                )
                place = _pushed(progress.probes)
                progress.probes.items[place] = number
                progress.number += 1
            else:
                # Up to the next end or the deadline no start finds it otherwise.
                number += 1
                while (
                    number < size
                    and calls.ended_before[number] <= progress.place
                    and calls.starts[number] < state.deadline
                ):
                    number += 1
                _refuse(progress, number)
        if state.fired:
            return state.fired
    progress.place = progress.number = size
    return _NO_RULE


# States that branch.


def assume(state, other):
    """Make a state the same as another, with which it shares nothing that changes."""
    state.rules = other.rules
    state.is_disabled = other.is_disabled
    state.where = other.where
    state.epoch = other.epoch
    state.is_forced = other.is_forced
    state.opened_at = other.opened_at
    state.half_open_at = other.half_open_at
    state.deadline = other.deadline
    state.consecutive_failures = other.consecutive_failures
    state.failure_seqs = None if other.failure_seqs is None else other.failure_seqs.copy()
    state.window = None if other.window is None else other.window.copy()
    state.probes_admitted = other.probes_admitted
    state.probes = None if other.probes is None else other.probes.copy()
    state.probe_seqs = None if other.probe_seqs is None else other.probe_seqs.copy()
    state.probe_window = None if other.probe_window is None else other.probe_window.copy()
    state.waited = other.waited
    state.fired = other.fired
    state.is_timed = other.is_timed
    state.succeeded = other.succeeded
    state.failed = other.failed
    state.ignored = other.ignored
    state.rejected = other.rejected
    state.stale = other.stale


def key_of(state):
    """What two states of the same rules must agree in, to decide alike from here on."""
    has_timeout = state.rules.half_open_timeout_ns != _NEVER
    return (
        state.where,
        state.is_forced,
        state.deadline,
        state.half_open_at if has_timeout else -1,
        state.consecutive_failures if state.rules.failure_threshold else 0,
        window_key_of(state.window),
        None if state.probes is None else tuple(state.probes.to_list()[1::2]),
        0 if state.probe_seqs is None else state.probe_seqs.length,
        window_key_of(state.probe_window),
    )


def window_key_of(window):
    """What two windows of the same thresholds must agree in, to decide alike from here on."""
    if window is None:
        return None
    numbers = window.ring.to_list()
    if not window.thresholds.is_timed:
        return tuple([code & 3 for code in numbers])
    return tuple(
        [tuple(numbers[at : at + 1] + numbers[at + 3 : at + 6]) for at in range(0, len(numbers), 6)]
    )
