"""Invariants that hold for any settings and any interleaving of overlapping calls.

After every step, there are no more probes than allowed, and the window equals a recount from the log.
A stale outcome changes no counter. Every trip has a cause whose evidence, recounted from the log,
reaches its threshold. A half-open breaker whose probes never report leaves that state.
"""

from fractions import Fraction

from drawn_settings import MS, SECOND, configs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from recloser import (
    CircuitBreaker,
    CountWindow,
    ManualClock,
    MemoryLog,
    Rule,
)
from recloser.core.events import Checkpoint
from recloser.core.state import dump, restore
from recloser.core.validation import exact
from recloser.history.engine import replay
from recloser.log.codec import decode, encode

# A breaker that is disabled records outcomes without counting them.
deciding_configs = configs.filter(lambda config: config.mode != "disabled")


class Invariants(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(config=deciding_configs)
    def make_breaker(self, config):
        self.config = config
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock)
        self.breaker = CircuitBreaker("b", config, log=self.log)

    @rule(ms=st.sampled_from([0, 1, 60, 400, 500, 1000, 3000, 20_000]))
    def wait(self, ms):
        self.clock.advance(ns=ms * MS)

    @rule(target=permits)
    def start_call(self):
        return self.breaker.before_call().permit

    @rule(permit=consumes(permits), outcome=st.sampled_from(["success", "failure", "ignored"]))
    def end_call(self, permit, outcome):
        if permit is None:
            return
        # End cooldowns that are due first, so that only the outcome can change the counters.
        self.breaker._sequencer.fold_buffered()
        before = self.breaker.snapshot()
        getattr(self.breaker, f"after_{outcome}")(permit)
        after = self.breaker.snapshot()
        if after.totals.stale > before.totals.stale:
            assert _counters(after) == _counters(before)

    @rule(times=st.integers(1, 4), outcome=st.sampled_from(["success", "failure"]))
    def call(self, times, outcome):
        for _ in range(times):
            self.end_call(self.start_call(), outcome)

    @rule()
    def lose_all_probes(self):
        """A half-open breaker whose probes never report leaves that state after their timeouts."""
        if self.breaker.current_state().value != "HALF_OPEN":
            return
        if not self.breaker.snapshot().probes_in_flight:
            return
        before = self.breaker.snapshot().epoch
        for _ in range(self.config.half_open_window.size if self.config.half_open_window else 1):
            self.clock.advance(seconds=self.config.probe_timeout_seconds)
            self.breaker.before_call()
        self.clock.advance(seconds=self.config.probe_timeout_seconds)
        self.breaker.before_call()
        assert self.breaker.snapshot().epoch > before

    @invariant()
    def probes_in_flight_are_limited(self):
        window = self.config.half_open_window
        allowed = self.config.half_open_max_probes if window is None else window.size
        snapshot = self.breaker.snapshot()
        assert snapshot.probes_in_flight <= allowed
        if window is not None and snapshot.probe_window is not None:
            assert snapshot.probes_in_flight + snapshot.probe_window.calls <= window.size

    @invariant()
    def the_window_equals_a_recount_from_the_log(self):
        snapshot = self.breaker.snapshot()
        if snapshot.window is None:
            return
        recorded = [o for o in self.outcomes() if o.epoch == snapshot.epoch]
        in_window = self.window_of(recorded, recorded[-1].at if recorded else 0)
        assert snapshot.window.calls == len(in_window)
        assert snapshot.window.failures == sum(o.kind == "call_failed" for o in in_window)
        assert snapshot.window.slow == sum(o.took > 50 * MS for o in in_window)

    @invariant()
    def replay_gives_the_live_state(self):
        history = replay(self.log)
        assert history.differences == []
        assert history.snapshots["b"] == self.breaker.snapshot()

    @invariant()
    def a_checkpoint_restores_the_whole_state(self):
        state = self.breaker._state
        line = encode(Checkpoint(1, 0, "b", dump(state)))
        assert restore(decode(line)) == state

    def teardown(self):
        if hasattr(self, "log"):
            for edge in replay(self.log).edges:
                if edge.trigger.value == "trip":
                    self.check_evidence(edge)

    def outcomes(self):
        kinds = ("call_succeeded", "call_failed")
        return [event for event in self.log if event.kind in kinds]

    def window_of(self, outcomes, at):
        window = self.config.window
        if isinstance(window, CountWindow):
            return outcomes[-window.size :]
        return [o for o in outcomes if o.at // SECOND > at // SECOND - window.seconds]

    def check_evidence(self, edge):
        """Recount the figures of the cause from the log."""
        cause = edge.cause
        counted = [o for o in self.outcomes() if o.epoch == edge.epoch - 1 and o.seq < edge.seq]
        failed = [o for o in counted if o.kind == "call_failed"]
        if cause.rule is Rule.CONSECUTIVE_FAILURES:
            run = counted[-cause.observed :]
            assert tuple(o.seq for o in run) == cause.seqs
            assert all(o.kind == "call_failed" for o in run)
            assert cause.observed == self.config.failure_threshold
            return
        in_window = self.window_of(counted, edge.at)
        assert (in_window[0].seq, in_window[-1].seq) == cause.span
        assert len(in_window) == cause.calls
        failures = [o for o in in_window if o in failed]
        slow = [o for o in in_window if o.took > 50 * MS]
        if cause.rule is Rule.WINDOW_FAILURES:
            assert len(failures) == cause.observed >= self.config.window.failures
            return
        rate, against = {
            Rule.FAILURE_RATE: (self.config.window.failure_rate, failures),
            Rule.SLOW_CALL_RATE: (self.config.window.slow_call_rate, slow),
        }[cause.rule]
        assert len(against) == cause.observed
        assert Fraction(cause.observed, cause.calls) >= exact(rate)
        assert cause.calls >= self.config.window.needed


def _counters(snapshot):
    return (
        snapshot.state,
        snapshot.epoch,
        snapshot.consecutive_failures,
        snapshot.window,
        snapshot.probe_window,
        snapshot.probe_successes,
        snapshot.probes_in_flight,
        snapshot.totals.succeeded,
        snapshot.totals.failed,
        snapshot.totals.ignored,
    )


Invariants.TestCase.settings = settings(
    max_examples=2 * settings().max_examples, stateful_step_count=40
)
test_invariants = Invariants.TestCase
