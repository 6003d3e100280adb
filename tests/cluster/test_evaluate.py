"""Settings evaluated on many logs: the sums of the figures of each log."""

import pytest
from attrs import evolve
from breaker_calls import fail
from hypothesis import given, settings
from hypothesis import strategies as st
from log_files import write_traffic
from runners import Here, sources_in, traffic_of

from conftest import ROOT
from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog
from recloser.cluster.evaluate import evaluate_many
from recloser.core.events import LogGap
from recloser.errors import ConfigError, NotALogError
from recloser.log.reader import LogReader
from recloser.simulate.recorded_calls import read_traffic
from recloser.testing import strategies as rst
from recloser.whatif.comparison import what_happened
from recloser.whatif.evaluation import what_if

RECORDING = ROOT / "fixtures" / "redis-killed"
CONFIG = CircuitBreakerConfig(failure_threshold=2, recovery_timeout_seconds=0.5)


@settings(max_examples=25, deadline=None)
@given(
    events=st.one_of(rst.logs().map(list), rst.traces()).filter(traffic_of),
    row_group=st.sampled_from([1, 4, 1 << 20]),
)
def test_evaluation_of_one_log_equals_what_if(tmp_path_factory, events, row_group):
    sources = sources_in(tmp_path_factory.mktemp("whatif"), [events], row_group)
    found = evaluate_many(sources, Here(), [CONFIG])
    traffic = traffic_of(events)
    did, would = what_happened(traffic), what_if(traffic, lambda _name: CONFIG)
    assert {name: each.columns for name, each in found.breakers.items()} == {
        name: [did[name], would[name]] for name in did
    }
    assert sum(each.calls for each in found.breakers.values()) == traffic.total
    assert sum(each.unknown for each in found.breakers.values()) == traffic.unknown
    assert found.lost == traffic.lost
    for name in did:
        assert evaluate_many(sources, Here(), [CONFIG], breaker=name).breakers == {
            name: found.breakers[name]
        }


def test_breaker_open_at_the_end_stays_open_until_the_last_event_of_any_breaker(tmp_path):
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    tripped, quiet = (CircuitBreaker(name, CONFIG, log=log) for name in ("tripped", "quiet"))
    fail(tripped, 2)
    clock.advance(seconds=0.25)
    quiet.force_open()
    (found,) = evaluate_many(sources_in(tmp_path, [log], 1), Here(), [CONFIG]).breakers.values()
    did = what_happened(read_traffic(log))["tripped"]
    assert found.columns[0] == did
    assert did.figures.open_ns.low == 250_000_000


def test_lost_events_are_summed_over_logs(tmp_path):
    logs = []
    for lost in (3, 5):
        log = MemoryLog(clock=ManualClock())
        for name in "ab":
            fail(CircuitBreaker(name, CONFIG, log=log))
        events = list(log)
        logs.append([*events, LogGap(len(events) + 1, events[-1].at, lost, "the disk was full")])
    assert evaluate_many(sources_in(tmp_path, logs, 1), Here(), [CONFIG]).lost == 8


def test_imported_and_recorded_logs_together_are_refused(tmp_path):
    imported = LogReader(write_traffic(tmp_path / "traffic", "..FF"))
    (tmp_path / "logs").mkdir()
    sources = sources_in(tmp_path / "logs", [LogReader(RECORDING), imported])
    with pytest.raises(
        ConfigError, match="some of these logs were imported, and some were recorded"
    ):
        evaluate_many(sources, Here(), [CONFIG])


def test_changes_apply_to_the_recorded_settings(tmp_path):
    sources = sources_in(tmp_path, [LogReader(RECORDING)])
    found = evaluate_many(sources, Here(), [("failure_threshold=9",), ()])
    traffic = read_traffic(LogReader(RECORDING))
    for number, settings_of in enumerate((lambda c: evolve(c, failure_threshold=9), lambda c: c)):
        would = what_if(traffic, lambda name, of=settings_of: of(traffic.configs[name]))
        assert found.breakers["redis"].columns[number + 1] == would["redis"]


def test_evaluation_of_one_breaker_only(tmp_path):
    sources = sources_in(tmp_path, map(LogReader, (RECORDING, ROOT / "fixtures" / "http-outage")))
    assert list(evaluate_many(sources, Here(), [CONFIG], breaker="redis").breakers) == ["redis"]
    with pytest.raises(NotALogError, match="there is no call of 'none' in these logs"):
        evaluate_many(sources, Here(), [CONFIG], breaker="none")
