"""``recloser replay`` of imported traffic that stands in columns."""

from collections import Counter
from pathlib import Path

from recloser import cli
from recloser.cli.options import Given, note_tail, settings_for
from recloser.cli.render.edge_lines import print_last, transition_data
from recloser.cli.render.histories import print_breakers, replay_data
from recloser.cli.render.terminal import counted, note, print_json, results
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Trigger
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.timeline import Timeline
from recloser.log.parquet import ParquetLog
from recloser.log.reader import LogReader
from recloser.simulate.call_table import IGNORED
from recloser.simulate.imported_history import SimulatedHistory, simulate_calls
from recloser.simulate.parquet_calls import calls_in_parquet


def show_driven(
    path: Path,
    given: Given,
    shown: int,
    *,
    as_json: bool,
) -> int | None:
    """Drive breakers by the columns of exported traffic and print what they did.

    Args:
        path: The exported log.
        given: The settings given.
        shown: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status; None where it has to be driven call by call, which is said.
    """
    log = LogReader(path).columns()
    if log is None or not log.about.traffic:
        return None
    given.read()  # what is wrong with them is said first
    calls = calls_in_parquet(log, rejected_as=IGNORED)
    if calls is None:
        note("driven call by call: there is more than plain calls in it")
        return None
    config = settings_for(path, given) or CircuitBreakerConfig()
    driven = simulate_calls(calls.values(), config, is_shared=True)
    timeline = Timeline(whole_log_events(log))
    if as_json:
        print_json(_as_data(driven, log, timeline))
    else:
        _print(driven, sum(map(len, calls.values())), timeline, shown)
    note("driven by columns, which tell no evidence; -o keeps a log that does")
    note_tail(path, log.about.tail)
    return cli.TORN if log.about.tail.torn else 0


def _as_data(driven: SimulatedHistory, log: ParquetLog, timeline: Timeline) -> dict[str, object]:
    return replay_data(
        events=log.about.events,
        digest=driven.digest,
        edges=[transition_data(edge, timeline) for edge in driven.edges_by_time],
        breakers={name: (state, driven.totals[name]) for name, state in driven.states.items()},
        engine="columns",
    )


def _print(driven: SimulatedHistory, calls: int, timeline: Timeline, shown: int) -> None:
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
        shown,
    )
    results().print(
        f"\n{counted(calls, 'call')}, {counted(len(edges), 'edge')}; digest {driven.digest[:16]}"
    )
