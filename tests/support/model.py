"""An independent model of a breaker, written from the documents and not from the code.

Breakers are compared with it, so it shares no code with the decisions in ``recloser``: it keeps plain
lists, counts them each time, and calculates with fractions. A comment beside each rule quotes the
sentence that states it: from a page of the documentation, from the design (by the section of its
first version), or from the docstrings of ``CircuitBreakerConfig`` and its windows ("config"), the
events, ``Snapshot``, ``CircuitBreaker`` and the backoffs. Rules that no document states are marked
"silent", with the choice and its reason.

The model reads the fields of a ``CircuitBreakerConfig`` as they were given. It names states, reasons,
triggers and rules by their values in a log.
"""

import hashlib
import math
from fractions import Fraction

from attrs import define, field, frozen

CLOSED, OPEN, HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"
SECOND = 10**9


def exact(number):
    # From config: "a float is read as the decimal fraction that it prints as".
    return Fraction(str(number))


def nanoseconds(seconds):
    # Design 1: "Durations are integer nanoseconds".
    return None if seconds is None else math.floor(exact(seconds) * SECOND)


@frozen
class Counted:
    """A counted outcome; ``seq`` is its number in the log, or None for a lost probe."""

    at: int
    failed: bool
    slow: bool
    seq: int


@frozen
class Permit:
    """The permit of an admitted call; ``probe`` is its number within the epoch, or 0."""

    epoch: int
    started_at: int
    probe: int = 0


@frozen
class Answer:
    """The answer to a call: ``BreakerDecision`` of design 5."""

    allowed: bool
    reason: str
    retry_after: Fraction | None
    permit: Permit | None
    state: str


@frozen
class Cause:
    """The cause of an edge, with the fields of ``FiredRule``."""

    rule: str
    observed: int = 0
    threshold: int = 0
    seqs: tuple = ()
    calls: int = 0
    rate: Fraction | None = None
    span: tuple = ()
    actor: str | None = None
    reason: str | None = None


@frozen
class Edge:
    """A state change as the log records it; ``epoch`` is the epoch that it begins."""

    at: int
    epoch: int
    before: str
    after: str
    trigger: str
    cause: Cause


@define
class Model:
    """One breaker; times are nanoseconds of the log, and never run backwards."""

    name: str
    config: object
    mode: str = field(init=False)
    state: str = CLOSED
    epoch: int = 0
    edges: list = field(factory=list)
    totals: dict = field(
        factory=lambda: dict.fromkeys(["succeeded", "failed", "ignored", "rejected", "stale"], 0)
    )
    # How often rules opened the breaker: ever, and since it was last closed.
    openings: int = 0
    openings_in_a_row: int = 0
    why_open: Cause | None = None
    # Facts about the current state, which every edge resets.
    since: int = 0
    forced: bool = False
    cooldown: int | None = None
    failures_in_a_row: list = field(factory=list)
    window: list = field(factory=list)
    probes: dict = field(factory=dict)
    probes_admitted: int = 0
    probe_successes: list = field(factory=list)
    probe_window: list = field(factory=list)

    def __attrs_post_init__(self):
        self.mode = self.config.mode

    # -- edges --

    def edge(self, at, after, trigger, cause, *, forced=False):
        # Design 4: "On every edge the counters of the state left are cleared and the *epoch* grows
        # by one."
        self.epoch += 1
        self.edges.append(Edge(at, self.epoch, self.state, after, trigger, cause))
        self.state, self.since, self.forced, self.cooldown = after, at, forced, None
        self.failures_in_a_row, self.window = [], []
        self.probes, self.probes_admitted = {}, 0
        self.probe_successes, self.probe_window = [], []
        if after == OPEN:
            self.why_open = cause
        if after == CLOSED:
            self.why_open, self.openings_in_a_row = None, 0
        if trigger in {"trip", "relapse"}:
            self.openings += 1
            self.openings_in_a_row += 1
            self.cooldown = self.drawn_cooldown()

    def drawn_cooldown(self):
        """Return how long the cooldown lasts, in nanoseconds.

        Backoff: "``min(max, base * factor ** (k - 1))`` for the k-th opening since it was last
        closed"; "``full`` cools for anything up to that, ``equal`` for at least half of it"; "the
        draw is a hash of the seed, the breaker's name and the number of the opening". Silent: which
        hash it is, and that the number counts openings by rules in the breaker's life.
        """
        backoff = self.config.backoff
        wait = nanoseconds(self.config.recovery_timeout_seconds)
        if hasattr(backoff, "factor"):
            grown = wait * exact(backoff.factor) ** (self.openings_in_a_row - 1)
            wait = math.floor(min(grown, nanoseconds(backoff.max_seconds)))
        if backoff.jitter == "none":
            return wait
        least = math.ceil(Fraction(wait, 2)) if backoff.jitter == "equal" else 0
        key = f"{backoff.seed}\x1f{self.name}\x1f{self.openings}"
        drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        return least + math.floor(Fraction(drawn, 2**64) * (wait - least + 1))

    # -- time --

    def pass_time(self, at):
        """Fire the timed edges that are due, before anything else happens.

        Design 2: "On every event the fold first fires the timed edges that are due, then handles
        the event." Silent: whether an edge may make another one due at once. Here it may, as with a
        cooldown of 0. Silent: whether the time of a ``disabled`` breaker passes, as it "decides
        nothing". Here it does, as the sentence has no exception.
        """
        while self.fire_timed_edge(at):
            pass

    def fire_timed_edge(self, at):
        """Fire one timed edge, or count one lost probe; return whether something was due."""
        if self.state == OPEN and not self.forced and at >= self.since + self.cooldown:
            cause = Cause("cooldown", at - self.since, self.cooldown)
            self.edge(at, HALF_OPEN, "cool", cause)
            # From config: "With 0 it closes as soon as the cooldown is over"; but a
            # ``half_open_window`` decides "in place of the two settings above".
            if not self.config.half_open_window and not self.config.half_open_success_threshold:
                self.edge(at, CLOSED, "recover", Cause("probe_successes"))
            return True
        if self.state == HALF_OPEN:
            return self.end_what_takes_too_long(at)
        return False

    def end_what_takes_too_long(self, at):
        """End a half-open state, or a probe, that takes too long.

        Config: "A breaker that is half-open for this long opens again"; "A probe that has not ended
        after this counts as failed." Silent: which is first where several are over. Here it is what
        was over first, and a probe before the half-open state; so of several lost probes, each is
        counted before the next, as other outcomes are.
        """
        lost = nanoseconds(self.config.probe_timeout_seconds)
        timeout = nanoseconds(self.config.half_open_timeout_seconds)
        first = min(self.probes, key=lambda number: (self.probes[number], number), default=None)
        lost_at = None if first is None else self.probes[first] + lost
        ends_at = None if timeout is None else self.since + timeout
        due = [time for time in (lost_at, ends_at) if time is not None and at >= time]
        if not due:
            return False
        if min(due) != lost_at:
            cause = Cause("half_open_timeout", at - self.since, timeout)
            self.edge(at, OPEN, "relapse", cause)
        elif not self.config.half_open_window:
            cause = Cause("probe_timeout", at - self.probes[first], lost)
            self.edge(at, OPEN, "relapse", cause)
        else:
            # Silent: how slow it is. Here it took its time-out. Its ``seq`` is unknown.
            del self.probes[first]
            self.probe_window.append(Counted(at, True, self.is_slow(lost), None))
            self.decide_by_probe_window(at)
        return True

    def deadlines(self):
        """Return the times at which an edge may become due, for tests to advance to."""
        if self.state == OPEN and not self.forced:
            return [self.since + self.cooldown]
        if self.state == HALF_OPEN:
            lost = nanoseconds(self.config.probe_timeout_seconds)
            timeout = nanoseconds(self.config.half_open_timeout_seconds)
            ends = [] if timeout is None else [self.since + timeout]
            return ends + [admitted_at + lost for admitted_at in self.probes.values()]
        return []

    def retry_at(self):
        # From snapshot: "When it will probe, in UTC; None unless it is cooling."
        return self.since + self.cooldown if self.state == OPEN and not self.forced else None

    # -- calls --

    def ask(self, at):
        self.pass_time(at)
        if self.mode == "disabled":
            return self.answer(at, "disabled")
        if self.state == CLOSED:
            return self.answer(at, "closed")
        if self.state == HALF_OPEN and self.may_admit_probe():
            self.probes_admitted += 1
            self.probes[self.probes_admitted] = at
            return self.answer(at, "probe", probe=self.probes_admitted)
        self.totals["rejected"] += 1
        # Design 5: "`retry_after` is in seconds, None where there is no knowing (forced open) or
        # nothing to wait for".
        retry_at = self.retry_at()
        retry_after = None if retry_at is None else Fraction(retry_at - at, SECOND)
        if self.mode == "shadow":
            return self.answer(at, "shadow", retry_after=retry_after)
        if self.state == HALF_OPEN:
            reason = "probes_exhausted"
        else:
            reason = "forced_open" if self.forced else "cooldown_active"
        return Answer(False, reason, retry_after, None, self.state)

    def answer(self, at, reason, *, probe=0, retry_after=None):
        return Answer(True, reason, retry_after, Permit(self.epoch, at, probe), self.state)

    def may_admit_probe(self):
        window = self.config.half_open_window
        if window:
            # From config: "At most as many probes as its size are let through".
            return len(self.probes) + len(self.probe_window) < window.size
        # From config: "How many probes may be in flight at once."
        return len(self.probes) < self.config.half_open_max_probes

    def report(self, permit, outcome, at, took=None, seq=0):
        """Count the outcome of a call; ``seq`` is the number of its event in the log."""
        self.pass_time(at)
        if self.is_stale(permit):
            self.totals["stale"] += 1
            return
        self.totals[outcome] += 1
        if self.mode == "disabled":
            return
        self.probes.pop(permit.probe, None)
        if outcome == "ignored":
            # From events: "ended in a way that says nothing about the dependency"; from breaker:
            # "it only gives the permit back".
            return
        took = at - permit.started_at if took is None else took
        call = Counted(at, outcome == "failed", self.is_slow(took), seq)
        if self.state == CLOSED:
            self.count_while_closed(call)
        else:
            self.count_probe(call)

    def is_stale(self, permit):
        """Return whether the outcome of a call changes nothing.

        Design 4: "an outcome whose epoch has passed is recorded, counted as stale, and changes
        nothing". So is that of a call which only the mode let through: ``shadow`` "decides and
        records what it would have done". Silent: whether a breaker that is ``disabled`` when the outcome
        comes calls any stale. Here it does not, as that one "decides nothing".
        """
        if self.mode == "disabled":
            return False
        if permit.epoch != self.epoch:
            return True
        return self.state != CLOSED and permit.probe not in self.probes

    def is_slow(self, took):
        # From config: "A call that took longer than this is slow."
        limit = nanoseconds(self.config.slow_call_seconds)
        return limit is not None and took > limit

    # -- rules --

    def count_while_closed(self, call):
        """Count an outcome, and trip if that reaches a threshold.

        Design 4: it trips when "consecutive failures, or the window's failure rate or slow-call
        rate, reach their threshold"; config: "whichever is first". Silent: which is the cause where several
        do at once. Here it is the first in the order of that sentence, with the number of failures
        in the window before its rates.
        """
        self.failures_in_a_row = [*self.failures_in_a_row, call] if call.failed else []
        window = self.config.window
        if window:
            self.window = self.window_with(self.window, call)
        threshold = self.config.failure_threshold
        if threshold is not None and len(self.failures_in_a_row) >= threshold:
            seqs = tuple(c.seq for c in self.failures_in_a_row)
            cause = Cause("consecutive_failures", len(seqs), threshold, seqs)
        else:
            cause = reached(window, self.window) if window else None
        if cause:
            self.edge(call.at, OPEN, "trip", cause)

    def window_with(self, calls, call):
        window = self.config.window
        if hasattr(window, "size"):
            # From config: "A window over the last ``size`` outcomes".
            return [*calls, call][-window.size :]
        # From config: "the outcomes of the last ``seconds`` whole seconds of the log", "including
        # the current one".
        oldest = call.at // SECOND - window.seconds + 1
        return [c for c in [*calls, call] if c.at // SECOND >= oldest]

    def count_probe(self, call):
        # From config: "Successful probes that close the breaker; one failed probe opens it again";
        # or a ``half_open_window`` decides "in place of" that.
        if not call.failed:
            # From snapshot: "Probes of this epoch that succeeded", whatever decides.
            self.probe_successes.append(call)
        if self.config.half_open_window:
            self.probe_window.append(call)
            self.decide_by_probe_window(call.at)
            return
        if call.failed:
            self.edge(call.at, OPEN, "relapse", Cause("probe_failed", 1, 1, (call.seq,)))
            return
        needed = self.config.half_open_success_threshold
        if len(self.probe_successes) >= needed:
            seqs = tuple(c.seq for c in self.probe_successes)
            cause = Cause("probe_successes", len(seqs), needed, seqs)
            self.edge(call.at, CLOSED, "recover", cause)

    def decide_by_probe_window(self, at):
        """Open or close by the window over the probes.

        Config: "its rates decide once its minimum of probes has ended". A number of failures opens
        it again before that: "Number of failures at which the breaker trips, without a minimum of
        calls".
        """
        window = self.config.half_open_window
        cause = reached(window, self.probe_window)
        if cause:
            self.edge(at, OPEN, "relapse", cause)
        elif len(self.probe_window) >= needed_in(window):
            count = len(self.probe_window)
            cause = Cause(
                "probe_window",
                count,
                needed_in(window),
                calls=count,
                span=span_of(self.probe_window),
            )
            self.edge(at, CLOSED, "recover", cause)

    # -- operators --

    def command(self, kind, at, actor=None, reason=None):
        # Design 4: from "any" state to "OPEN / CLOSED". Events: "An operator opened the breaker
        # until further notice", so one that is forced open never cools.
        self.pass_time(at)
        cause = Cause("command", actor=actor, reason=reason)
        is_open = kind == "force_open"
        self.edge(at, OPEN if is_open else CLOSED, kind, cause, forced=is_open)

    def set_mode(self, mode, at):
        # Breaker: "Change what the breaker does with its decisions; it stays in the state that it
        # is in." Silent: what happens to probes in flight. A ``disabled`` breaker has no
        # probes, so they are forgotten.
        self.pass_time(at)
        self.mode = mode
        if mode == "disabled":
            self.probes = {}

    def configure(self, config, at):
        """Change the settings, if they differ.

        Events: "A breaker is first named, or its settings change: the whole configuration".
        Silent: what happens to the state. It stays, and so do a running cooldown and the number
        of successful probes; failures in a row and windows start from zero, and probes in
        flight are forgotten.
        """
        self.pass_time(at)
        if config == self.config:
            return
        self.config, self.mode = config, config.mode
        self.failures_in_a_row, self.window = [], []
        self.probes, self.probe_window = {}, []

    def restart(self, at):
        # Page on deploying: "A process that restarts on the same folder continues with the states it
        # had." Silent: the probes of the process that ended can't report any more, so they are forgotten.
        self.pass_time(at)
        self.probes = {}


def needed_in(window):
    # From config: "Rates count once this many outcomes are in the window, or ``size`` if that is
    # less." A time window has no size.
    return min(window.minimum_calls, getattr(window, "size", window.minimum_calls))


def span_of(calls):
    # From events: "For a window, the ``seq`` of the first and the last outcome in it."
    return (calls[0].seq, calls[-1].seq)


def reached(window, calls):
    """Return the cause of an edge if the outcomes reach a threshold of the window, else None."""
    failures, slow = sum(c.failed for c in calls), sum(c.slow for c in calls)
    here = {"calls": len(calls), "span": span_of(calls)}
    if window.failures is not None and failures >= window.failures:
        return Cause("window_failures", failures, window.failures, **here)
    if len(calls) < needed_in(window):
        return None
    for rule, rate, count in [
        ("failure_rate", window.failure_rate, failures),
        ("slow_call_rate", window.slow_call_rate, slow),
    ]:
        if rate is not None and Fraction(count, len(calls)) >= exact(rate):
            return Cause(rule, count, rate=exact(rate), **here)
    return None
