"""The public Hypothesis strategies: valid, varied, and consistent with replay."""

import itertools
import subprocess
import sys

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, ManualClock, Rule, TimeWindow, Trigger, replay
from recloser.core.events import CallObserved
from recloser.testing import strategies as rst

some = settings(max_examples=100)
until_found = settings(max_examples=5000, phases=[Phase.generate], derandomize=True, database=None)


def comes_up(strategy, condition):
    """Find an example without shrinking it, which would take long."""
    return find(strategy, condition, settings=until_found)


@some
@given(rst.configurations())
def test_generated_configuration_is_valid_and_round_trips(config):
    assert CircuitBreakerConfig.from_mapping(config.to_mapping()) == config


@some
@given(rst.configurations(failure_threshold=st.just(7), window=st.none()))
def test_single_setting_can_be_overridden(config):
    assert (config.failure_threshold, config.window) == (7, None)


@some
@given(rst.clocks(), st.data())
def test_skewed_clock_differs_only_in_its_wall_time(clock, data):
    skewed = data.draw(rst.skewed_clocks(clock))
    assert isinstance(clock, ManualClock)
    before = clock.monotonic_ns()
    clock.advance(seconds=5)
    assert skewed.monotonic_ns() == clock.monotonic_ns() == before + 5 * 10**9


@some
@given(rst.traces(), rst.configurations())
def test_breakers_driven_by_a_trace_replay_identically(trace, config):
    history = replay(trace, config=config)
    assert history.differences == []
    assert replay(list(history.events)).digest == history.digest
    calls = [event for event in trace if isinstance(event, CallObserved)]
    assert history.snapshots.keys() == {call.breaker for call in calls}
    assert 1 <= len(calls) <= 40
    assert [event.at for event in trace] == sorted(event.at for event in trace)


@some
@given(rst.logs())
def test_log_of_live_breakers_replays_to_its_witnesses(log):
    history = replay(log)
    assert history.differences == []
    assert history.witnesses == len(history.edges)


@pytest.mark.parametrize("trigger", list(Trigger))
def test_every_edge_is_generated(trigger):
    comes_up(rst.logs(), lambda log: any(edge.trigger is trigger for edge in replay(log).edges))


@pytest.mark.parametrize("rule", [Rule.FAILURE_RATE, Rule.WINDOW_FAILURES, Rule.PROBE_WINDOW])
def test_every_kind_of_rule_is_generated(rule):
    config = rst.configurations(mode=st.just("enforce"))
    comes_up(
        rst.logs(config), lambda log: any(edge.cause.rule is rule for edge in replay(log).edges)
    )


def test_overlapping_calls_and_time_windows_are_generated():
    comes_up(rst.traces(), _overlaps)
    comes_up(rst.configurations(), lambda config: isinstance(config.window, TimeWindow))


def _overlaps(trace):
    calls = sorted((e.start, e.at) for e in trace if isinstance(e, CallObserved))
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(calls))


def test_names_and_sizes_can_be_chosen():
    trace = comes_up(rst.traces(breakers=["only"], max_calls=3), lambda _: True)
    assert {event.breaker for event in trace[1:]} == {"only"}


def test_missing_hypothesis_is_reported_with_its_extra():
    code = "import sys; sys.modules['hypothesis'] = None\nimport recloser.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: recloser.testing.strategies needs Hypothesis: "
        "pip install 'recloser[testing]'"
    )
    assert "During handling" not in done.stderr
