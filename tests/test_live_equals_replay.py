"""Live equals replay: replaying the log files gives the live state after every step.

Two breakers on one log get overlapping calls, passing time, wrong clocks, operators' commands,
restarts, changed settings and crashes. After every step the replay of the files must equal both live
snapshots, and an independent model must agree. ``test_second_opinion`` does the same in memory,
without restarts and with many more examples.
"""

import shutil
import tempfile
from pathlib import Path

from agreement import assert_same_answer, assert_same_edges, assert_same_state
from drawn_settings import MS, SECOND, configs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from log_files import crash
from model import Model

from recloser import CircuitBreaker, CircuitOpenError, EventLog, ManualClock
from recloser.core.events import LogOpened
from recloser.history.engine import replay
from recloser.log.reader import LogReader

NAMES = ("a", "b")
METHODS = {"succeeded": "after_success", "failed": "after_failure", "ignored": "after_ignored"}

names = st.sampled_from(NAMES)
outcomes = st.sampled_from(["failed", "failed", "succeeded", "ignored"])
steps_ns = st.sampled_from([0, 1, MS, SECOND // 2, SECOND, 2 * SECOND - 1, 2 * SECOND, 10**12])


class LiveEqualsReplay(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(first=configs, second=configs, durability=st.sampled_from(["memory", "batch"]))
    def begin(self, first, second, durability):
        self.path = Path(tempfile.mkdtemp(prefix="recloser-test-"))
        self.clock = ManualClock()
        self.at = 0
        self.durability = durability
        self.configs = {"a": first, "b": second}
        self.models = {name: Model(name, config) for name, config in self.configs.items()}
        self.acted = set()
        self.last_seq = 0
        self.sessions = 0
        self.open()

    def open(self):
        self.sessions += 1
        self.log = EventLog(self.path, clock=self.clock, durability=self.durability)
        self.breakers = {
            name: CircuitBreaker(name, config, log=self.log)
            for name, config in self.configs.items()
        }

    def model_of(self, name):
        self.acted.add(name)
        return self.models[name]

    @rule(ns=steps_ns)
    def wait(self, ns):
        self.clock.advance(ns=ns)
        self.at += ns

    @rule(name=names, late_ns=st.sampled_from([-1, 0]))
    def wait_for_a_deadline(self, name, late_ns):
        self.wait(max(0, min(self.models[name].deadlines(), default=0) + late_ns - self.at))

    @rule(seconds=st.sampled_from([-3600, -1, 1, 3600, 10**8]))
    def step_the_wall_clock(self, seconds):
        self.clock.advance_wall(seconds=seconds)

    @rule(target=permits, name=names)
    def ask(self, name):
        decision = self.breakers[name].before_call()
        answer = self.model_of(name).ask(self.at)
        assert_same_answer(decision, answer)
        return name, self.sessions, decision.permit, answer.permit

    @rule(ticket=consumes(permits), outcome=outcomes)
    def report(self, ticket, outcome):
        name, session, permit, model_permit = ticket
        if permit is None or session != self.sessions:
            return
        getattr(self.breakers[name], METHODS[outcome])(permit)
        self.model_of(name).report(model_permit, outcome, self.at)

    @rule(name=names, times=st.integers(1, 3), outcome=outcomes)
    def ask_and_report(self, name, times, outcome):
        for _ in range(times):
            self.report(self.ask(name), outcome)

    @rule(target=permits, name=names)
    def trip_and_probe(self, name):
        for _ in range(8):
            if self.models[name].state == "CLOSED":
                self.report(self.ask(name), "failed")
        self.wait_for_a_deadline(name, 0)
        return self.ask(name)

    @rule(name=names, times=st.integers(1, 3))
    def call(self, name, times):
        """Call a function, which uses the lock-free fast path where that is allowed."""
        model = self.model_of(name)
        for _ in range(times):
            answer = model.ask(self.at)
            try:
                self.breakers[name].call(lambda: None)
            except CircuitOpenError:
                assert not answer.allowed
            else:
                assert answer.allowed
                model.report(answer.permit, "succeeded", self.at)

    @rule(name=names, kind=st.sampled_from(["force_open", "force_closed", "reset"]))
    def command(self, name, kind):
        getattr(self.breakers[name], kind)(actor="ann", reason="mended")
        self.model_of(name).command(kind, self.at, "ann", "mended")

    @rule(name=names, mode=st.sampled_from(["enforce", "enforce", "shadow", "disabled"]))
    def set_mode(self, name, mode):
        self.breakers[name].set_mode(mode)
        self.model_of(name).set_mode(mode, self.at)

    @rule(
        crashed=st.booleans(),
        rebooted=st.booleans(),
        changed=st.one_of(st.none(), st.tuples(names, configs)),
    )
    def restart(self, crashed, rebooted, changed):
        if crashed:
            crash(self.log)
        else:
            self.log.close()
        longest = max(at for model in self.models.values() for at in [0, *model.deadlines()])
        last_at = list(LogReader(self.path))[-1].at
        if rebooted:
            self.clock.reboot()
        if changed:
            self.configs = self.configs | dict([changed])
        self.open()
        if rebooted:
            # The log has estimated the length of the gap by the wall clock, within limits.
            self.log.flush()
            self.at = [e.at for e in LogReader(self.path) if isinstance(e, LogOpened)][-1]
            assert last_at <= self.at <= max(last_at, longest)
        for name in NAMES:
            model = self.model_of(name)
            model.restart(self.at)
            model.configure(self.configs[name], self.at)

    def pass_ticks_to_models(self):
        """Pass the time of new ticks to the models that have not passed it by an event of their own.

        New settings can set a deadline that is due already, which the next tick passes.
        """
        new = [event for event in LogReader(self.path) if event.seq > self.last_seq]
        last_own = {
            event.breaker: event.seq
            for event in new
            if getattr(event, "breaker", None) and event.kind != "state_changed"
        }
        for event in new:
            if event.kind == "clock_ticked":
                for name in NAMES:
                    if name not in self.acted or event.seq > last_own.get(name, event.seq):
                        self.models[name].pass_time(event.at)
        self.last_seq = new[-1].seq if new else self.last_seq
        self.acted.clear()

    @invariant()
    def replay_of_the_files_equals_the_live_state(self):
        self.log.flush()
        self.pass_ticks_to_models()
        history = replay(self.path)
        assert history.differences == []
        for name, breaker in self.breakers.items():
            assert history.snapshots[name] == breaker.snapshot()
            assert_same_state(breaker.snapshot(), self.models[name], self.at)
            edges = [edge for edge in history.edges if edge.breaker == name]
            assert_same_edges(edges, self.models[name], by_seq=False)

    def teardown(self):
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.path)


LiveEqualsReplay.TestCase.settings = settings(
    max_examples=settings().max_examples, stateful_step_count=40
)
test_live_equals_replay = LiveEqualsReplay.TestCase
