"""Live breakers, the replay of their log and an independent model agree after every step.

Two breakers get overlapping calls, operators' commands, other modes and other settings. This happens
twice at the same time: on one shared log that holds every outcome, which is replayed after every
step; and on a log per breaker that coalesces successes. Replaying such a log ends its runs, so it is
only done now and then. The model (``model.py``) is written from the documentation alone. The clock
moves to each deadline, and to one nanosecond before and after it.
``pytest --hypothesis-profile=long`` tries twenty times as many examples.
"""

import tempfile
from pathlib import Path

from agreement import assert_same_answer, assert_same_edges, assert_same_state
from drawn_settings import MS, SECOND, SLOW_NS, configs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from log_files import write_segment
from model import Model

from recloser import CircuitBreaker, CircuitOpenError, ManualClock, MemoryLog
from recloser.history.engine import replay

NAMES = ("a", "b")

names = st.sampled_from(["a", "a", "b"])  # one is driven further than the other
outcomes = st.sampled_from(["failed", "failed", "succeeded", "succeeded", "ignored"])
durations = st.sampled_from([None, 0, SLOW_NS, SLOW_NS + 1])
commands = st.sampled_from(["force_open", "force_closed", "reset"])
modes = st.sampled_from(["enforce", "enforce", "enforce", "shadow", "disabled"])
waits = st.sampled_from([0, 1, MS, 500 * MS, SECOND - 1, SECOND, 3 * SECOND, 20 * SECOND])

METHODS = {"succeeded": "after_success", "failed": "after_failure", "ignored": "after_ignored"}


def succeed():
    return None


def fail():
    raise OSError


short_waits = st.sampled_from([0, 0, 0, MS, 500 * MS, SECOND, 2 * SECOND])
calls = st.lists(
    st.tuples(
        short_waits,
        st.integers(1, 4),
        st.sampled_from([None, None, succeed, succeed, fail]),
        outcomes,
        durations,
    ),
    min_size=1,
    max_size=6,
)
orders = st.one_of(
    st.tuples(st.just("command"), commands),
    st.tuples(st.just("set_mode"), modes),
    st.tuples(st.just("configure"), configs),
)


class Side:
    """One log, its breakers, and the model of each."""

    def __init__(self, clock, detail, configs):
        self.clock = clock
        self.log = MemoryLog(clock=clock, tick_seconds=None, detail=detail)
        self.has_every_seq = detail == "full"
        self.breakers = {
            name: CircuitBreaker(name, config, log=self.log) for name, config in configs.items()
        }
        self.models = {name: Model(name, config) for name, config in configs.items()}
        self.events_seen = 0

    @property
    def at(self):
        return self.clock.monotonic_ns()

    def pass_ticks_to_models(self):
        """Pass the time of new ticks in the log to every model.

        The log writes a tick when a call of either breaker finds a deadline passed; the tick is an
        event of both breakers.
        """
        if len(self.models) == 1:
            return []
        events = list(self.log)
        for event in events[self.events_seen :]:
            if event.kind == "clock_ticked":
                for model in self.models.values():
                    model.pass_time(event.at)
        self.events_seen = len(events)
        return events

    def ask(self, name):
        decision = self.breakers[name].before_call()
        self.pass_ticks_to_models()
        answer = self.models[name].ask(self.at)
        assert_same_answer(decision, answer)
        return decision.permit, answer.permit

    def report(self, name, permits, outcome, took):
        permit, model_permit = permits
        if permit is not None:
            getattr(self.breakers[name], METHODS[outcome])(permit, took_ns=took)
            self.report_to_model(name, model_permit, outcome, took)

    def report_to_model(self, name, permit, outcome, took=None):
        kinds = ("call_succeeded", "call_failed", "call_ignored")
        outcomes = [event.seq for event in self.pass_ticks_to_models() if event.kind in kinds]
        seq = outcomes[-1] if outcomes else 0
        self.models[name].report(permit, outcome, self.at, took, seq)

    def call(self, name, function):
        """Make a call, then compare the model's answer; the call has reported its outcome by then."""
        error = None
        try:
            self.breakers[name].call(function)
        except CircuitOpenError as rejection:
            error = rejection
        except OSError:
            pass
        self.pass_ticks_to_models()
        answer = self.models[name].ask(self.at)
        assert answer.allowed == (error is None)
        if answer.allowed:
            self.report_to_model(name, answer.permit, "failed" if function is fail else "succeeded")
        else:
            assert_same_answer(error.decision, answer)

    def command(self, name, kind):
        getattr(self.breakers[name], kind)(actor="ann", reason="to see")
        self.pass_ticks_to_models()
        self.models[name].command(kind, self.at, "ann", "to see")

    def set_mode(self, name, mode):
        self.breakers[name].set_mode(mode)
        self.pass_ticks_to_models()
        self.models[name].set_mode(mode, self.at)

    def configure(self, name, config):
        self.breakers[name] = CircuitBreaker(name, config, log=self.log, on_other_config="replace")
        self.pass_ticks_to_models()
        self.models[name].configure(config, self.at)

    def check(self, *, replayed=True):
        for name, model in self.models.items():
            assert_same_state(self.breakers[name].snapshot(), model, self.at)
        if replayed:
            self.check_history(replay(self.log))

    def check_history(self, history):
        assert history.differences == []
        for name, model in self.models.items():
            assert history.snapshots[name] == self.breakers[name].snapshot()
            edges = [edge for edge in history.edges if edge.breaker == name]
            assert_same_edges(edges, model, by_seq=self.has_every_seq)

    def check_file(self):
        """Replay the log from a file, which folds consecutive successes in batches."""
        with tempfile.TemporaryDirectory(prefix="recloser-test-") as folder:
            self.check_history(replay(write_segment(Path(folder), self.log)))


class SecondOpinion(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(first=configs, second=configs)
    def make_breakers(self, first, second):
        self.clock = ManualClock()
        drawn = dict(zip(NAMES, (first, second), strict=True))
        self.full = Side(self.clock, "full", drawn)
        self.runs = {name: Side(self.clock, "runs", {name: drawn[name]}) for name in NAMES}

    def sides_of(self, name):
        return self.full, self.runs[name]

    @rule(ns=waits)
    def wait(self, ns):
        self.clock.advance(ns=ns)

    @rule(name=names, which=st.integers(0, 3), late_ns=st.sampled_from([-1, 0, 0, 1]))
    def wait_for_a_deadline(self, name, which, late_ns):
        deadlines = sorted(self.full.models[name].deadlines())
        if deadlines:
            deadline = deadlines[which % len(deadlines)]
            self.clock.advance(ns=max(0, deadline + late_ns - self.clock.monotonic_ns()))

    def ask(self, name):
        return name, [side.ask(name) for side in self.sides_of(name)]

    def call(self, name, function):
        for side in self.sides_of(name):
            side.call(name, function)

    @rule(
        target=permits,
        name=names,
        times=st.integers(1, 5),
        ends=st.lists(outcomes, max_size=3),
        again=st.integers(0, 4),
    )
    def ask_at_once(self, name, times, ends, again):
        """Start some calls at once; some of them end before more start."""
        asked = [self.ask(name) for _ in range(times)]
        for outcome in ends[:times]:
            self.report(asked.pop(0), outcome, None)
        return multiple(*asked, *[self.ask(name) for _ in range(again)])

    @rule(ticket=consumes(permits), outcome=outcomes, took=durations)
    def report(self, ticket, outcome, took):
        name, permits = ticket
        for side, own in zip(self.sides_of(name), permits, strict=True):
            side.report(name, own, outcome, took)

    @rule(name=names, calls=calls)
    def call_in_turn(self, name, calls):
        """Make calls one after another; those of a function use the lock-free fast path."""
        for wait, times, function, outcome, took in calls:
            self.clock.advance(ns=wait)
            for _ in range(times):
                if function is None:
                    self.report(self.ask(name), outcome, took)
                else:
                    self.call(name, function)

    @rule(name=names, good=st.integers(1, 6), bad=st.integers(1, 3), early=st.booleans())
    def age_the_window(self, name, good, bad, early):
        """Successes, then failures; then let the window forget the successes first."""
        for _ in range(good):
            self.call(name, succeed)
        self.clock.advance(ns=SECOND)
        for _ in range(bad):
            self.call(name, fail)
        window = self.full.models[name].config.window
        self.clock.advance(ns=max(0, getattr(window, "seconds", 1) - 1 - early) * SECOND)
        for _ in range(getattr(window, "size", 3)):
            self.call(name, succeed)

    @rule(target=permits, name=names, took=durations, probes=st.integers(0, 3))
    def trip_and_cool(self, name, took, probes):
        """Trip the breaker and wait for its cooldown; random steps alone seldom get to probes."""
        model = self.full.models[name]
        for _ in range(8):
            if model.state == "CLOSED":
                self.report(self.ask(name), "failed", took)
        self.wait_for_a_deadline(name, 0, 0)
        return multiple(*[self.ask(name) for _ in range(probes)])

    @rule(name=names, order=orders)
    def operate(self, name, order):
        method, argument = order
        for side in self.sides_of(name):
            getattr(side, method)(name, argument)

    @rule()
    def replay_runs(self):
        for side in self.runs.values():
            side.check()

    @invariant()
    def live_replay_and_model_agree(self):
        self.full.check()
        for side in self.runs.values():
            side.check(replayed=False)

    def teardown(self):
        if hasattr(self, "runs"):
            self.replay_runs()
            self.full.check_file()


SecondOpinion.TestCase.settings = settings(
    max_examples=3 * settings().max_examples, stateful_step_count=40
)
test_second_opinion = SecondOpinion.TestCase
