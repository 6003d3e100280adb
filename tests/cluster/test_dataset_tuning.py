"""A grid of settings scored on many logs: the sums of the scores of each log."""

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_files import write_traffic
from runners import Here, sources_in, traffic_of

from conftest import ROOT
from recloser.cluster import dataset_tuning
from recloser.cluster.dataset import urls_of
from recloser.cluster.dataset_tuning import tune_many
from recloser.cluster.many_logs import sources_of
from recloser.errors import ConfigError
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.simulate.recorded_calls import read_traffic
from recloser.testing import strategies as rst
from recloser.whatif.settings_search import grid_of, tune

RECORDING = ROOT / "fixtures" / "redis-killed"
GRID = grid_of({"failure_threshold": [1, 2, 3, 5, 8], "recovery_timeout_seconds": [0.1, 1, 5]})


def test_last_calls_of_each_log_are_held_out(tmp_path):
    traces = [
        LogReader(write_traffic(tmp_path / name, ".F" * calls))
        for name, calls in (("short", 20), ("long", 200))
    ]
    (tmp_path / "logs").mkdir()
    sources = sources_in(tmp_path / "logs", traces)
    both = tune_many(sources, Here(), {}, GRID).tuning
    alone = [tune(read_traffic(trace), {}, GRID) for trace in traces]
    assert both.calls == tuple(map(sum, zip(*(each.calls for each in alone), strict=True)))
    assert both.base.held_out == alone[0].base.held_out + alone[1].base.held_out


@settings(max_examples=15, deadline=None)
@given(
    events=st.one_of(rst.logs().map(list), rst.traces()).filter(
        lambda events: (t := traffic_of(events)) is not None and t.unknown < t.total
    ),
    at_once=st.sampled_from([1, 5, 64]),
)
def test_scores_of_one_log_equal_those_of_tune(tmp_path_factory, events, at_once):
    sources = sources_in(tmp_path_factory.mktemp("tune"), [events], 4)
    with mock.patch.object(dataset_tuning, "_CONFIGS_PER_JOB", at_once):
        found = tune_many(sources, Here(), {}, GRID, failure_weight=3)
    traffic = traffic_of(events)
    assert found.tuning == tune(traffic, {}, GRID, failure_weight=3)
    assert (found.calls, found.unknown) == (traffic.total, traffic.unknown)


def test_scores_of_several_logs_are_summed(tmp_path):
    one = tune_many(sources_in(tmp_path, [LogReader(RECORDING)]), Here(), {}, GRID).tuning
    both = tune_many(sources_in_two(tmp_path), Here(), {}, GRID).tuning
    assert both.calls == tuple(2 * calls for calls in one.calls)
    assert both.base.tuned_on == one.base.tuned_on + one.base.tuned_on
    assert both.recommended.settings == one.recommended.settings


def sources_in_two(folder):
    write_parquet(LogReader(RECORDING), folder / "1.parquet")
    return sources_of(urls_of(str(folder)), Here())


def test_log_without_calls_of_the_breaker_is_refused(tmp_path):
    sources = sources_in(tmp_path, [LogReader(RECORDING)])
    with pytest.raises(ConfigError, match="there is no call with a known outcome"):
        tune_many(sources, Here(), {}, GRID, breaker="none")
