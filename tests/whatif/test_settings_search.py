"""Tune scores many settings on the same calls and recommends one."""

from array import array

import pytest

from recloser import ConfigError
from recloser.core.settings import configured
from recloser.history.timeline import Timeline
from recloser.simulate.call_table import FAILED, SUCCEEDED, UNKNOWN, Calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.scoring import Scorer
from recloser.whatif.settings_search import grid_of, tune

SECOND = 10**9


def traffic(*breakers):
    columns = {}
    for number, codes in enumerate(breakers):
        starts = array("q", (n * SECOND for n in range(len(codes))))
        durations = array("q", [0] * len(codes))
        columns[f"b{number}"] = Calls(f"b{number}", starts, starts[:], durations, bytes(codes))
    last = max(calls.ends[-1] for calls in columns.values())
    return Traffic(columns, False, {}, [], 0, last, Timeline())


def outages(length, count=10, quiet=30):
    return ([SUCCEEDED] * quiet + [FAILED] * length) * count


AXES = {"failure_threshold": [1, 3, 5], "recovery_timeout_seconds": [2, 5, 20]}


def tuned(calls, grid=None, **options):
    return tune(calls, {"half_open_success_threshold": 1}, grid or grid_of(AXES), **options)


def test_the_grid_holds_every_combination_in_order():
    grid = grid_of({"a": [1, 2], "b": ["x", "y"]})
    assert grid == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_budget_draws_different_combinations_and_always_the_same():
    axes = {"a": range(10**6), "b": range(10**6)}
    drawn = grid_of(axes, 50)
    assert len({(one["a"], one["b"]) for one in drawn}) == 50
    assert drawn == grid_of(axes, 50)
    assert len({one["a"] // 10**5 for one in drawn}) > 5
    assert len(grid_of({"a": [1, 2]}, 50)) == 2


def test_no_candidate_beats_one_on_the_front_in_both_costs():
    tuning = tuned(traffic(outages(12)))
    points = [(one.tuned_on.lost, one.tuned_on.let_through) for one in tuning.candidates]
    front = [(one.tuned_on.lost, one.tuned_on.let_through) for one in tuning.front]
    assert set(front) == {
        (lost, through)
        for lost, through in points
        if not any(a <= lost and b <= through and (a, b) != (lost, through) for a, b in points)
    }
    assert front == sorted(front)


def test_the_recommendation_has_the_lowest_cost_for_the_given_weight():
    for weight in (1, 50):
        tuning = tuned(traffic(outages(12)), failure_weight=weight)
        costs = [one.tuned_on.cost(weight) for one in tuning.candidates]
        assert tuning.recommended.tuned_on.cost(weight) == min(costs)
    assert tuned(traffic(outages(12))).recommended != tuning.recommended


def test_every_call_is_either_tuned_on_or_held_out():
    calls = traffic(outages(12), outages(5))
    tuning = tuned(calls)
    assert sum(tuning.calls) == calls.total
    assert tuning.calls[1] == pytest.approx(0.3 * calls.total, rel=0.1)
    one = tuning.candidates[0]
    failures = sum(c.count(FAILED) for c in calls.calls.values())
    parts = (one.tuned_on, one.held_out)
    assert sum(part.saved + part.let_through for part in parts) == failures


def test_several_processes_give_the_same_scores_as_one():
    calls = traffic(outages(12), outages(5))
    assert tuned(calls, processes=2).candidates == tuned(calls, processes=1).candidates


def test_a_recommendation_that_fails_on_held_out_calls_has_a_warning():
    """Long outages in the calls used for tuning, single failures in those held out."""
    single = ([SUCCEEDED] * 3 + [FAILED]) * 60
    tuning = tuned(traffic(outages(20, count=11) + single))
    assert any("over-fitted" in warning for warning in tuning.warnings)
    assert not any("over-fitted" in warning for warning in tuned(traffic(outages(20))).warnings)


@pytest.mark.parametrize(
    ("codes", "warning"),
    [
        ([SUCCEEDED] * 100, "nothing to learn from"),
        ([FAILED] * 10 + [SUCCEEDED] * 90, "could not be checked"),
        (outages(1, count=5), "by chance"),
    ],
)
def test_too_few_failures_give_a_warning(codes, warning):
    assert any(warning in text for text in tuned(traffic(codes)).warnings)


def test_tune_leaves_out_calls_of_unknown_outcome():
    codes = outages(12)
    mixed = [code for pair in zip(codes, [UNKNOWN] * len(codes), strict=True) for code in pair]
    tuning = tuned(traffic(mixed))
    assert sum(tuning.calls) == len(codes)
    with pytest.raises(ConfigError, match="no call with a known outcome"):
        tuned(traffic([UNKNOWN]))


def test_slow_calls_trip_a_breaker_that_has_no_failed_call():
    codes = [SUCCEEDED] * 20
    starts = array("q", (n * SECOND for n in range(20)))
    calls = Calls(
        "b",
        starts,
        array("q", (s + SECOND for s in starts)),
        array("q", [SECOND] * 20),
        bytes(codes),
    )
    settings = {
        "window": {"size": 4, "slow_call_rate": 0.5, "minimum_calls": 4},
        "slow_call_seconds": 0.5,
    }
    assert Scorer([calls]).score(configured({}, settings)).trips == 1


def test_a_setting_of_the_window_is_named_with_a_dot():
    config = configured({"window": {"size": 9, "failure_rate": 0.5}}, {"window.size": 4})
    assert (config.window.size, config.window.failure_rate) == (4, 0.5)
    with pytest.raises(ConfigError, match="no setting 'sise'"):
        configured({}, {"window.sise": 4})
    with pytest.raises(ConfigError, match="no settings to try"):
        tune(traffic([FAILED]), {}, [])
