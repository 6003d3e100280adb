"""A simulation takes the same edges as a live breaker, on the compiled and the pure kernel."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_driver import RULES, Driven, kernels
from observed import KNOWN, MS, busy, calls_of, configs, driven, rows_with

from recloser import CircuitBreakerConfig, CountWindow
from recloser.core.events import Trigger
from recloser.simulate.call_table import FAILED, SUCCEEDED, UNKNOWN
from recloser.simulate.simulation import Simulation


class Simulated:
    """A simulation on one kernel that answers questions about unknown outcomes at random."""

    def __init__(self, of, rows, config, seed=0, *, copies=False):
        self.copies = copies
        self.of, self.breaker = of, Driven(of, "b", config)
        calls = calls_of(rows)
        ended = [calls.by_end[place] for place in range(len(calls))]
        self.calls = of.CallColumns(
            calls.starts,
            calls.ended_before,
            calls.by_end,
            memoryview(calls.columns.ends),
            memoryview(calls.columns.tooks),
            bytes(calls.outcomes[number] for number in ended),
        )
        self.progress = of.Progress(self.calls)
        self.chance = random.Random(seed)
        self.asked = []

    def run(self):
        of = self.of
        while found := of.simulate(self.breaker.inner, self.progress):
            if found in (of.ASKS_OUTCOME, of.ASKS_ALL):
                self.ask("outcome" if found == of.ASKS_OUTCOME else "outcome and slowness")
                answer = self.chance.random() < 0.5, self.chance.random() < 0.5
                found = of.suppose(self.breaker.inner, self.progress, *answer)
            if found == of.ASKS_WINDOW:
                self.ask("window")
                if self.chance.random() < 0.5:
                    continue
                found = RULES.index("window_failures")
            while found:
                # A simulation keeps no evidence.
                found = self.breaker.edge(self.breaker.trigger(RULES[found]), self.progress.at, ())
        return self

    def ask(self, what):
        copy = self.of.State(self.breaker.inner.rules)
        self.of.assume(copy, self.breaker.inner)
        assert self.of.key_of(copy) == self.of.key_of(self.breaker.inner)
        if self.copies:
            self.breaker.inner, self.progress = copy, self.progress.copy()
        windows = self.progress.lower, self.progress.upper
        self.asked.append(
            (
                what,
                self.progress.next_end,
                self.of.key_of(copy),
                *map(self.of.window_key_of, windows),
            )
        )

    @property
    def edges(self):
        return [(at, trigger) for at, trigger, _ in self.breaker.edges]

    @property
    def rejected(self):
        numbers = self.progress.rejected.to_list()
        ranges = zip(numbers[::2], numbers[1::2], strict=True)
        return [self.calls.starts[call] for first, end in ranges for call in range(first, end)]

    @property
    def counts(self):
        state = self.breaker.inner
        return state.succeeded, state.failed, state.ignored


of_each_kernel = pytest.mark.parametrize(
    "of", kernels(), ids=lambda of: "compiled" if of.IS_COMPILED else "interpreted"
)


def check(of, rows, config):
    history, edges, rejected = driven(rows, config)
    found = Simulated(of, rows, config).run()
    assert found.edges == edges
    totals = history.snapshots["b"].totals
    assert len(found.rejected) == totals.rejected
    if totals.rejected <= 100:  # above that, one event can stand for several calls
        assert found.rejected == rejected
    assert found.counts == (totals.succeeded, totals.failed, totals.ignored)


@of_each_kernel
@settings(max_examples=100)
@given(rows_with(KNOWN), configs())
def test_a_simulation_equals_a_live_breaker(of, rows, config):
    check(of, rows, config)


@of_each_kernel
@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_a_simulation_equals_a_live_breaker_with_many_calls_in_flight(of, seed):
    rows, several = busy(seed)
    check(of, rows, several[0])


@settings(max_examples=150)
@given(rows_with([*KNOWN, UNKNOWN]), configs(), st.integers(0, 2**32))
def test_both_kernels_ask_for_the_same_unknown_outcomes(rows, config, seed):
    first, *others = [Simulated(of, rows, config, seed).run() for of in kernels()]
    for other in others:
        assert other.asked == first.asked
        assert (other.edges, other.rejected, other.counts) == (
            first.edges,
            first.rejected,
            first.counts,
        )


@settings(max_examples=150)
@given(rows_with([*KNOWN, UNKNOWN]), configs(), st.integers(0, 2**32))
def test_a_copied_simulation_continues_like_the_original(rows, config, seed):
    """Continuing in a copy after every question gives the same edges."""
    whole = Simulated(kernels()[-1], rows, config, seed).run()
    copied = Simulated(kernels()[-1], rows, config, seed, copies=True).run()
    assert (copied.asked, copied.edges, copied.rejected) == (
        whole.asked,
        whole.edges,
        whole.rejected,
    )


@of_each_kernel
@pytest.mark.parametrize("rate", [None, 0.5])
def test_slowness_is_asked_for_only_if_a_rate_of_slow_probes_is_set(of, rate):
    window = CountWindow(2, failures=2, slow_call_rate=rate)
    config = CircuitBreakerConfig(
        failure_threshold=1,
        recovery_timeout_seconds=1,
        half_open_window=window,
        slow_call_seconds=1,
    )
    rows = [(0, MS, FAILED), (2000 * MS, MS, UNKNOWN)]
    (asked,) = Simulated(of, rows, config).run().asked
    assert asked[0] == ("outcome" if rate is None else "outcome and slowness")


def test_a_history_that_spans_blocks_of_the_kernel_equals_a_live_one():
    """More calls than the kernel processes in one block, with trips around each border."""
    codes = [SUCCEEDED] * 20_000
    for border in range(64, 20_000, 64):
        codes[border - 2 : border + 1] = [FAILED] * 3
    rows = [(n * 10 * MS, 25 * MS, code) for n, code in enumerate(codes)]
    config = CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout_seconds=0.05, half_open_success_threshold=1
    )
    check(kernels()[-1], rows, config)


def test_a_rejected_call_changes_nothing_when_it_ends():
    rows = [(0, MS, FAILED), (2 * MS, MS, FAILED), (40_000 * MS, MS, SUCCEEDED)]
    simulation = Simulation(calls_of(rows), CircuitBreakerConfig(failure_threshold=1))
    triggers = [trigger for _, trigger, _ in simulation.edges()]
    assert triggers == [Trigger.TRIP, Trigger.COOL]
    assert list(simulation.rejected) == [(1, 2)]
    totals = simulation.totals()
    assert (totals.succeeded, totals.failed, totals.rejected, totals.stale) == (1, 1, 1, 0)
