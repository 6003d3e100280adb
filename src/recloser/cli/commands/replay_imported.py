"""``recloser replay`` of imported calls in a Parquet file, without making an object of each call."""

from collections import Counter
from pathlib import Path

from recloser import cli
from recloser.cli.log_input import note_tail, settings_for
from recloser.cli.options import GivenSettings
from recloser.cli.render.history_tables import print_breakers, print_last
from recloser.cli.render.schemas.history_schemas import replay_object, transition_object
from recloser.cli.render.terminal import note, print_json, results
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Trigger
from recloser.core.formatting import quantity
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.timeline import Timeline
from recloser.log.parquet import ParquetLog
from recloser.log.reader import LogReader
from recloser.simulate.call_table import IGNORED
from recloser.simulate.imported_history import SimulatedHistory, simulate_calls
from recloser.simulate.parquet_calls import calls_in_parquet


def show_driven(
    path: Path,
    given: GivenSettings,
    limit: int,
    *,
    as_json: bool,
) -> int | None:
    """Drive breakers with exported imported calls, and print what they did.

    Args:
        path: The exported log.
        given: The settings of the breakers.
        limit: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status. None if the log is not of imported calls, or has to be driven call by call,
        which is noted on standard error.
    """
    log = LogReader(path).columns()
    if log is None or not log.about.traffic:
        return None
    given.read()  # reports wrong settings before anything is noted
    calls = calls_in_parquet(log, rejected_as=IGNORED)
    if calls is None:
        note("driven call by call, because the file holds more than plain calls")
        return None
    config = settings_for(path, given) or CircuitBreakerConfig()
    driven = simulate_calls(calls.values(), config, is_shared=True)
    timeline = Timeline(whole_log_events(log))
    if as_json:
        print_json(_object(driven, log, timeline))
    else:
        _print(driven, sum(map(len, calls.values())), timeline, limit)
    note("driven by columns, which records no evidence; -o writes a log with evidence")
    note_tail(path, log.about.tail)
    return cli.TORN if log.about.tail.torn else 0


def _object(driven: SimulatedHistory, log: ParquetLog, timeline: Timeline) -> dict[str, object]:
    return replay_object(
        events=log.about.events,
        digest=driven.digest,
        edges=[transition_object(edge, timeline) for edge in driven.edges_by_time],
        breakers={name: (state, driven.totals[name]) for name, state in driven.states.items()},
        engine="columns",
    )


def _print(driven: SimulatedHistory, calls: int, timeline: Timeline, limit: int) -> None:
    trips = Counter(edge.breaker for edge in driven.edges if edge.trigger is Trigger.TRIP)
    print_breakers(
        (name, state, trips[name], driven.totals[name]) for name, state in driven.states.items()
    )
    edges = driven.edges_by_time
    print_last(
        ("time (UTC)", "breaker", "edge", "trigger"),
        edges,
        lambda edge: (
            timeline.text(edge.at),
            edge.breaker,
            f"{edge.from_state.value} → {edge.to_state.value}",
            edge.trigger.value,
        ),
        limit,
    )
    results().print(
        f"\n{quantity(calls, 'call')}, {quantity(len(edges), 'edge')}; digest {driven.digest[:16]}"
    )
