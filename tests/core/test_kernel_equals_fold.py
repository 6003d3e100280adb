"""The kernel against the fold: after every event both have decided and kept the same.

A script says what happens next in terms of the state that the fold is in: an outcome of this epoch or
one before, of a probe that is under way or not. Of it come events for the fold and rows for kernels,
interpreted and compiled, which get them one by one and many at once.
"""

from datetime import UTC, datetime

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from drawn_settings import MS, SECOND, SLOW_NS, count_windows, jitters, time_windows
from kernel_driver import COMMANDS, Driven, Row, contents, kernels
from recloser import CircuitBreakerConfig, Constant, CountWindow, Exponential, TimeWindow
from recloser.core import kernel
from recloser.errors import FoldError
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    ForcedClosed,
    ForcedOpen,
    LogOpened,
    ModeChanged,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.fold import apply, refusal_of
from recloser.limits import MAX_COUNT
from recloser.machine import CLOSED, HALF_OPEN
from recloser.state import first_state

NAME = "b"
WALL = datetime(2026, 1, 1, tzinfo=UTC)
COMMAND_EVENTS = {"force_open": ForcedOpen, "force_closed": ForcedClosed, "reset": Reset}
RARE = ("command", "configure", "set_mode", "begin_session", "pass_time")


@define
class Folded:
    """The fold of a script so far, with the rows that kernels get for it."""

    config: object
    state: object = field(init=False)
    seq: int = 1
    at: int = 0
    edges: list = field(factory=list)
    items: list = field(factory=list)  # rows, and (method, argument, seq, at) of what is rare

    def __attrs_post_init__(self):
        self.state = first_state(NAME, self.config)

    def apply(self, event, item):
        edges = apply(self.state, event)
        self.edges += [(edge.at, edge.trigger, cause(edge, self.state)) for edge in edges]
        self.seq = event.seq + len(edges)
        self.items.append((item, self.seen()))

    def row(self, event, kind, took=0, epoch=0, probe=0, count=1):
        """An event that kernels get as a row, whether it can happen or not."""
        item = Row(kind, event.seq, self.at, took, epoch, probe, count)
        try:
            self.apply(event, item)
        except FoldError:
            self.items.append((item, "refused"))
            self.seq = event.seq

    def rare(self, event, method, *arguments):
        self.apply(event, (method, *arguments, event.seq, self.at))

    def tick(self):
        """Have time passed without an event of the breaker, so that no edge is lost if one fails."""
        self.rare(ClockTicked(self.seq + 1, self.at, WALL, 0), "pass_time")

    # -- what a script says --

    def wait(self, ns):
        self.at += ns

    def wait_for_deadline(self, late_ns):
        if self.state.deadline is not None:
            self.at = max(self.at, self.state.deadline + late_ns)

    def outcomes(self, kinds, times, step_ns, took, count, epochs_ago, which):
        for number in range(times):
            self.at += step_ns
            self.outcome(kinds[number % len(kinds)], took, count, epochs_ago, which)

    def outcome(self, kind, took, count, epochs_ago, which):
        epoch = self.state.epoch - epochs_ago
        if epoch < 0:
            return
        if epochs_ago < 0:
            self.tick()
            epoch = self.state.epoch - epochs_ago
        probes = [*self.state.probes, 0, self.state.probes_admitted + 1]
        probe = probes[which % len(probes)] if self.state.half_open_at is not None else 0
        place = self.seq + 1, self.at, NAME, epoch, took, probe
        if kind == "failed":
            self.row(CallFailed(*place, "OSError"), kernel.FAILED, took, epoch, probe)
        elif kind == "ignored":
            self.row(CallIgnored(*place), kernel.IGNORED, took, epoch, probe)
        else:
            event = CallSucceeded(*place, count)
            self.row(event, kernel.SUCCEEDED, took, epoch, probe, count)

    def trip_and_cool(self, took, probes):
        """Bring a breaker to where it probes, which chance alone seldom does."""
        for _ in range(30):
            if self.state.state is CLOSED:
                self.outcome("failed", took, 1, 0, 0)
        self.wait_for_deadline(0)
        self.tick()
        self.ask(probes, 0)

    def ask(self, times, wrong):
        if self.state.state is not HALF_OPEN:
            times = abs(wrong)
        for _ in range(times):
            self.tick()
            probe = self.state.probes_admitted + 1 + wrong
            epoch = self.state.epoch
            event = ProbeAdmitted(self.seq + 1, self.at, NAME, epoch, probe)
            self.row(event, kernel.ADMITTED, 0, epoch, probe)

    def reject(self, count):
        event = CallRejected(self.seq + 1, self.at, NAME, Reason.COOLDOWN_ACTIVE, None, count)
        self.row(event, kernel.REJECTED, count=count)

    def operate(self, method, argument):
        place = self.seq + 1, self.at
        if method == "command":
            event = COMMAND_EVENTS[argument](*place, NAME, "ann", "to see")
        elif method == "configure":
            event = BreakerConfigured(*place, NAME, argument.to_mapping())
        else:
            event = ModeChanged(*place, NAME, argument, "ann", "to see")
        self.rare(event, method, argument)

    def restart(self):
        event = LogOpened(self.seq + 1, self.at, 2, 1, 1, WALL, 0, "h", "l", 9, "1.0")
        self.rare(event, "begin_session")

    # -- what can be seen --

    def seen(self):
        state = self.state
        counters = ["succeeded", "failed", "ignored", "rejected", "stale"]
        return {
            "state": state.state,
            "epoch": state.epoch,
            "forced": state.forced,
            "opened_at": state.opened_at,
            "half_open_at": state.half_open_at,
            "deadline": state.deadline,
            "openings": (state.openings, state.openings_in_a_row),
            "consecutive_failures": state.consecutive_failures,
            "failure_seqs": list(state.failure_seqs),
            "window": state.window and contents(state.window),
            "probes_admitted": state.probes_admitted,
            "probes": [number for pair in state.probes.items() for number in pair],
            "probe_seqs": list(state.probe_seqs),
            "probe_window": state.probe_window and contents(state.probe_window),
            "counters": [getattr(state, name) for name in counters],
            "answer": answer(state),
            "edges": list(self.edges),
        }


def answer(state):
    reason = refusal_of(state)
    if reason is not None:
        return {
            Reason.FORCED_OPEN: kernel.FORCED,
            Reason.COOLDOWN_ACTIVE: kernel.COOLING,
            Reason.PROBES_EXHAUSTED: kernel.EXHAUSTED,
        }[reason]
    if state.mode == "disabled":
        return kernel.DISABLED
    return kernel.PROBE if state.half_open_at is not None else kernel.ALLOWED


def cause(edge, state):
    """The rule and its evidence, in the form of ``Driven.cause``."""
    told = edge.cause
    rule = told.rule.value
    if rule in {"consecutive_failures", "probe_successes"}:
        return rule, told.observed, told.seqs or told.span
    if rule in {"cooldown", "probe_timeout", "half_open_timeout", "probe_failed"}:
        return rule, told.observed
    if rule == "command":
        return (rule,)
    return rule, told.observed, told.calls, *told.span


# Settings and scripts.

larger = {"failures": st.sampled_from([None, 9]), "failure_rate": st.sampled_from([0.2, 0.6, 1])}
large_windows = st.one_of(
    st.builds(
        CountWindow,
        size=st.sampled_from([20, 40, 100]),
        minimum_calls=st.sampled_from([1, 20, 30]),
        slow_call_rate=st.sampled_from([None, 0.3]),
        **larger,
    ),
    st.builds(
        TimeWindow,
        seconds=st.sampled_from([1, 3, 10]),
        minimum_calls=st.sampled_from([1, 20, 60]),
        slow_call_rate=st.sampled_from([None, 0.3]),
        **larger,
    ),
)
configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.sampled_from([None, None, 1, 3, 20]),
    window=st.one_of(st.none(), count_windows, time_windows, large_windows, large_windows),
    slow_call_seconds=st.just(SLOW_NS / SECOND),
    recovery_timeout_seconds=st.sampled_from([0, 0, 0.5, 2]),
    backoff=st.one_of(
        st.builds(Constant, jitters),
        st.builds(Exponential, st.sampled_from([2, 1.5]), st.sampled_from([1, 8]), jitters),
    ),
    half_open_success_threshold=st.sampled_from([0, 1, 2, 3, 9]),
    half_open_max_probes=st.sampled_from([1, 2, 3, 40]),
    half_open_window=st.one_of(
        st.none(), count_windows, st.builds(CountWindow, st.just(30), st.just(0.5), st.just(20))
    ),
    half_open_timeout_seconds=st.sampled_from([None, 3]),
    probe_timeout_seconds=st.sampled_from([1, 3, 10]),
    mode=st.sampled_from([*["enforce"] * 8, "disabled"]),
)
kinds = st.sampled_from(["succeeded", "succeeded", "succeeded", "failed", "failed", "ignored"])
steps = st.sampled_from([0, 0, 1, MS, 100 * MS, SECOND - 1, SECOND, 3 * SECOND])
outcomes = st.tuples(
    st.just("outcomes"),
    st.one_of(st.just(["succeeded"]), st.lists(kinds, min_size=1, max_size=6)),
    st.sampled_from([1, 1, 2, 5, 20, 40, 130]),
    steps,
    st.sampled_from([0, 0, 0, SLOW_NS, SLOW_NS + 1]),
    st.sampled_from([1, 1, 1, 1, 2, 7, 101, MAX_COUNT]),
    st.sampled_from([0] * 9 + [1, 2, -1]),
    st.integers(0, 40),
)
happenings = st.one_of(
    outcomes,
    outcomes,
    outcomes,
    st.tuples(
        st.just("trip_and_cool"), st.sampled_from([0, SLOW_NS + 1]), st.sampled_from([1, 2, 9, 40])
    ),
    st.tuples(st.just("wait"), steps),
    st.tuples(st.just("wait_for_deadline"), st.sampled_from([-1, 0, 0, 1, 10 * SECOND])),
    st.tuples(st.just("ask"), st.sampled_from([1, 2, 5, 40]), st.sampled_from([0] * 9 + [-1, 1])),
    st.tuples(st.just("reject"), st.sampled_from([1, 3, MAX_COUNT])),
    st.tuples(st.just("operate"), st.just("command"), st.sampled_from(sorted(COMMANDS))),
    st.tuples(st.just("operate"), st.just("configure"), configs),
    st.tuples(
        st.just("operate"), st.just("set_mode"), st.sampled_from(["enforce", "enforce", "disabled"])
    ),
    st.tuples(st.just("restart")),
)

scripts = st.lists(happenings, min_size=1, max_size=40)


def history(config, script):
    folded = Folded(config)
    for method, *arguments in script:
        getattr(folded, method)(*arguments)
    return folded.items


def apply_rare(driven, item):
    method, *arguments = item
    getattr(driven, method)(*arguments)


@given(configs, scripts)
def test_the_kernel_decides_as_the_fold_after_every_event(config, script):
    items = history(config, script)
    for of in kernels():
        driven = Driven(of, NAME, config)
        for item, seen in items:
            if not isinstance(item, Row):
                apply_rare(driven, item)
            elif driven.apply(item):
                assert seen == "refused"
                continue
            assert driven.seen() == seen


@given(configs, scripts)
def test_many_rows_at_once_are_the_same_as_one_after_the_other(config, script):
    items = history(config, script)
    for of in kernels():
        driven = Driven(of, NAME, config)
        batch, expected = [], driven.seen()
        for item, seen in [*items, (None, None)]:
            if isinstance(item, Row):
                batch.append(item)
            elif batch:
                driven.run(batch)
                batch = []
                assert driven.seen() == expected
            if item is not None and not isinstance(item, Row):
                apply_rare(driven, item)
            if isinstance(seen, dict):
                expected = seen
