"""Live equals replay: whatever happens, the log read back from disk folds to the live state.

Two breakers on one log are driven through calls that overlap, time, wrong clocks, operators,
restarts and crashes. After every step the fold of the files must equal both live snapshots, and an
independent model must agree on the states.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from model import Model
from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, EventLog, ManualClock
from recloser.events import LogOpened
from recloser.log.reader import LogReader
from recloser.replay.engine import replay
from support import crash

NAMES = ("a", "b")
COOLDOWN_NS = 2_000_000_000

names = st.sampled_from(NAMES)
outcomes = st.sampled_from(["failure", "failure", "success", "ignored"])
steps_ns = st.sampled_from(
    [0, 1, 10**6, COOLDOWN_NS // 2, COOLDOWN_NS - 1, COOLDOWN_NS, COOLDOWN_NS + 1, 10**12]
)


class LiveEqualsReplay(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(
        threshold=st.integers(1, 3),
        successes=st.integers(0, 2),
        probes=st.integers(1, 2),
        durability=st.sampled_from(["memory", "batch"]),
    )
    def begin(self, threshold, successes, probes, durability):
        self.path = Path(tempfile.mkdtemp(prefix="recloser-test-"))
        self.clock = ManualClock()
        self.at = 0
        self.durability = durability
        self.config = CircuitBreakerConfig(
            failure_threshold=threshold,
            recovery_timeout_seconds=2,
            half_open_success_threshold=successes,
            half_open_max_probes=probes,
        )
        self.models = {name: Model(threshold, COOLDOWN_NS, successes, probes) for name in NAMES}
        self.sessions = 0
        self.open()

    def open(self):
        self.sessions += 1
        self.log = EventLog(self.path, clock=self.clock, durability=self.durability)
        self.breakers = {name: CircuitBreaker(name, self.config, log=self.log) for name in NAMES}

    def pass_time(self):
        """Whatever happens to one breaker first lets time pass for all."""
        for model in self.models.values():
            model.pass_time(self.at)

    @rule(ns=steps_ns)
    def wait(self, ns):
        self.clock.advance(ns=ns)
        self.at += ns

    @rule(seconds=st.sampled_from([-3600, -1, 1, 3600, 10**8]))
    def step_the_wall_clock(self, seconds):
        self.clock.advance_wall(seconds=seconds)

    @rule(target=permits, name=names)
    def ask(self, name):
        self.pass_time()
        decision = self.breakers[name].before_call()
        assert decision.allowed == self.models[name].asks(self.at)
        assert decision.state.value == self.models[name].state
        return (name, self.sessions, self.models[name].epoch, self.at, decision.permit)

    @rule(ticket=consumes(permits), outcome=outcomes)
    def end(self, ticket, outcome):
        name, session, epoch, asked_at, permit = ticket
        if permit is None or session != self.sessions:
            return
        self.pass_time()
        breaker = self.breakers[name]
        if outcome == "failure":
            breaker.after_failure(permit, "OSError")
        elif outcome == "success":
            breaker.after_success(permit)
        else:
            breaker.after_ignored(permit)
        self.models[name].ends(epoch, asked_at, outcome, self.at)

    @rule(name=names, times=st.integers(1, 3), outcome=outcomes)
    def call(self, name, times, outcome):
        for _ in range(times):
            self.end(self.ask(name), outcome)

    @rule(name=names, times=st.integers(1, 3))
    def call_well(self, name, times):
        """In one go, which takes the way past the lock where that is open."""
        self.pass_time()
        model = self.models[name]
        for _ in range(times):
            is_allowed = model.asks(self.at)
            try:
                self.breakers[name].call(lambda: None)
            except CircuitOpenError:
                assert not is_allowed
            else:
                assert is_allowed
                model.ends(model.epoch, self.at, "success", self.at)

    @rule(name=names)
    def force_open(self, name):
        self.pass_time()
        self.breakers[name].force_open(actor="ann")
        self.models[name].edge("OPEN", self.at, forced=True)

    @rule(name=names, command=st.sampled_from(["force_closed", "reset"]))
    def close_by_command(self, name, command):
        self.pass_time()
        getattr(self.breakers[name], command)(reason="mended")
        self.models[name].edge("CLOSED")

    @rule(crashed=st.booleans(), rebooted=st.booleans())
    def restart(self, crashed, rebooted):
        if crashed:
            crash(self.log)
        else:
            self.log.close()
        longest = max(model.deadline() for model in self.models.values())
        last_at = list(LogReader(self.path))[-1].at
        if rebooted:
            self.clock.reboot()
        self.open()
        if rebooted:
            # What the wall clock said of the gap is in the log now, and within its bounds.
            self.log.flush()
            self.at = [e.at for e in LogReader(self.path) if isinstance(e, LogOpened)][-1]
            assert last_at <= self.at <= max(last_at, longest)
        self.pass_time()
        for model in self.models.values():
            model.restart()

    @invariant()
    def the_fold_of_the_files_is_the_live_state(self):
        self.log.flush()
        history = replay(self.path)
        assert history.differences == []
        for name, breaker in self.breakers.items():
            assert history.snapshots[name] == breaker.snapshot()
            assert breaker.current_state().value == self.models[name].state
            assert breaker.snapshot().epoch == self.models[name].epoch

    def teardown(self):
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.path)


LiveEqualsReplay.TestCase.settings = settings(max_examples=500, stateful_step_count=50)
test_live_equals_replay = LiveEqualsReplay.TestCase
