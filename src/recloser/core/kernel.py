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

    def extend(self, numbers):
        """Put items at the end, ``width`` numbers each."""
        for first in range(0, len(numbers), self.width):
            place = _pushed(self)
            for offset in range(self.width):
                self.items[place + offset] = numbers[first + offset]

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
    left = min(size, count)
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


def keeps_until(window):
    """Before what time of the log no outcome of the window is too old that is not now."""
    if not window.thresholds.is_timed:
        return _NEVER
    ring = window.ring
    return (ring.items[_last(ring)] + 1) * _SECOND if ring.length else 0


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


def move_probes(state, times):
    """Have the probes under way let through at other times, in their order."""
    for index in range(len(times)):
        place = state.probes.first + index
        if place >= state.probes.capacity:
            place -= state.probes.capacity
        state.probes.items[place * 2 + 1] = times[index]
    _set_half_open_deadline(state)


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
