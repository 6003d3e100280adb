"""``recloser whatif``: the same traffic under other settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self, TypeAlias

import attrs
import click
from attrs import frozen

from recloser.cli.engines import Engine, engine_options, pieces_progress
from recloser.cli.options import (
    Given,
    json_option,
    log_argument,
    log_path,
    settings_options,
    source_option,
)
from recloser.cli.render.terminal import counted, duration, note, print_json, print_table, results
from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig
from recloser.log.reader import LogReader
from recloser.simulate.call_table import UNKNOWN
from recloser.simulate.recorded_calls import Traffic, read_traffic
from recloser.whatif.comparison import (
    DelaySummary,
    summarize_delays,
    what_happened,
)
from recloser.whatif.costs import FIGURES, OUTAGE_FAILURES, Delay, Figures, Range
from recloser.whatif.evaluation import Evaluation, what_if

Column: TypeAlias = Mapping[str, Evaluation]

_TOLD: Final = {
    "trips": "trips",
    "open_ns": "not closed",
    "rejected": "calls rejected",
    "saved": "… that would have failed (saved)",
    "lost": "… that would have succeeded (lost)",
    "let_through": "failures let through",
}
_BREAKERS_SHOWN: Final = 10
_MANY: Final = 50_000
_SETTINGS: Final = "these settings"


@frozen
class _Counts:
    """What the calls are.

    Attributes:
        calls: How many each breaker has, and how many of them have an unknown outcome.
        recorded: Whether breakers recorded them.
        lost: How many events could not be written.
    """

    calls: Mapping[str, tuple[int, int]]
    recorded: bool
    lost: int

    @classmethod
    def of(cls, traffic: Traffic) -> Self:
        calls = {name: (len(own), own.count(UNKNOWN)) for name, own in traffic.calls.items()}
        return cls(calls, traffic.recorded, traffic.lost)

    @property
    def total(self) -> int:
        return sum(calls for calls, _ in self.calls.values())

    @property
    def unknown(self) -> int:
        return sum(unknown for _, unknown in self.calls.values())

    @property
    def before(self) -> str:
        return "as recorded" if self.recorded else "no breaker"


@click.command(short_help="The same traffic under other settings, side by side.")
@log_argument
@settings_options
@source_option
@click.option(
    "--against",
    "against_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Other settings to be set beside them, in TOML or JSON.",
)
@click.option("--breaker", metavar="NAME", help="One breaker only.")
@click.option(
    "--outage",
    "failures",
    type=click.IntRange(min=1),
    default=OUTAGE_FAILURES,
    show_default=True,
    metavar="N",
    help="So many failures in a row are an outage, by which delays are measured.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: Engine | None,
    given: Given,
    against_path: Path | None,
    breaker: str | None,
    failures: int,
    as_json: bool,
) -> None:
    """Say what other settings would have made of the calls in LOG, beside what happened.

    LOG is imported traffic or a log that breakers wrote. Without --config, settings of a log that
    breakers wrote begin with its own. A call that the recorded breaker refused may have ended
    either way: a figure that depends on it is told from its least to its most.

    With --engine dask, LOG is many exported files, and the figures are summed up over all of them.
    """
    against = {} if against_path is None else {str(against_path): Given(against_path).read()}
    if engine is None:
        counts, columns = _tried_here(log, given, against, breaker, failures)
    else:
        counts, columns = _tried_on(engine, log, given, against, breaker=breaker, failures=failures)
    if as_json:
        print_json(_as_data(counts, columns))
    else:
        _print(counts, columns)


def _tried_here(
    log: str,
    given: Given,
    against: Mapping[str, CircuitBreakerConfig],
    breaker: str | None,
    failures: int,
) -> tuple[_Counts, Mapping[str, Column]]:
    traffic = traffic_in(log, breaker)
    counts = _Counts.of(traffic)
    columns: dict[str, Column] = {
        counts.before: what_happened(traffic, failures),
        _SETTINGS: what_if(traffic, _config_for(traffic, given), failures),
    }
    for name, config in against.items():
        columns[name] = what_if(traffic, {}.fromkeys(traffic.calls, config).__getitem__, failures)
    return counts, columns


def _tried_on(
    engine: Engine,
    dataset: str,
    given: Given,
    against: Mapping[str, CircuitBreakerConfig],
    *,
    breaker: str | None,
    failures: int,
) -> tuple[_Counts, Mapping[str, Column]]:
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.evaluate import evaluate_many

        is_whole = given.has_file or sources[0].about.traffic
        asked = given.read() if is_whole else tuple(given.assignments)
        with pieces_progress("trying settings") as on_done:
            found = evaluate_many(
                sources,
                runner,
                [asked, *against.values()],
                breaker=breaker,
                failures=failures,
                on_done=on_done,
            )
    tried = found.breakers
    calls = {name: (each.calls, each.unknown) for name, each in tried.items()}
    counts = _Counts(calls, found.recorded, found.lost)
    columns = {
        told: {name: each.columns[number] for name, each in tried.items()}
        for number, told in enumerate((counts.before, _SETTINGS, *against))
    }
    return counts, columns


def traffic_in(log: str, breaker: str | None) -> Traffic:
    """The calls in a log, or those of one breaker; it is said if reading them takes long."""
    with log_path(log) as path:
        traffic = read_traffic(LogReader(path))
    if traffic.total > _MANY and not kernel.IS_COMPILED:
        note("recloser runs without its compiled modules here, which takes much longer")
    return traffic if breaker is None else traffic.only(breaker)


def _config_for(
    traffic: Traffic,
    given: Given,
) -> Callable[[str], CircuitBreakerConfig]:
    if given.has_file or not traffic.recorded:
        config = given.read()
        return lambda _name: config
    configs = {name: given.read(traffic.configs[name].to_mapping()) for name in traffic.calls}
    return configs.__getitem__


def _as_data(counts: _Counts, columns: Mapping[str, Column]) -> Mapping[str, object]:
    return {
        "schema": "recloser.whatif/1",
        "calls": counts.total,
        "unknown": counts.unknown,
        "lost_events": counts.lost,
        "recorded": counts.recorded,
        "results": [
            {
                "settings": name,
                "total": _figures_data(Figures.total(v.figures for v in column.values())),
                "detection": _timed_data(_all(column, "detection")),
                "recovery": _timed_data(_all(column, "recovery")),
                "breakers": {
                    breaker: {
                        **_figures_data(verdict.figures),
                        "outages": len(verdict.outages),
                        "detection": _timed_data(verdict.detection),
                        "recovery": _timed_data(verdict.recovery),
                        "followed": verdict.is_complete,
                    }
                    for breaker, verdict in column.items()
                },
            }
            for name, column in columns.items()
        ],
    }


def _figures_data(figures: Figures) -> Mapping[str, object]:
    return attrs.asdict(figures)


def _timed_data(delays: Sequence[Delay]) -> Mapping[str, object] | None:
    summary = summarize_delays(delays)
    if summary is None:
        return None
    return {
        "outages": len(delays),
        "ended": attrs.asdict(summary.ended),
        "median_ns": summary.median,
        "longest_ns": summary.longest,
    }


def _all(column: Column, kind: str) -> Sequence[Delay]:
    return [delay for verdict in column.values() for delay in getattr(verdict, kind)]


def _print(counts: _Counts, columns: Mapping[str, Column]) -> None:
    unknown, total = counts.unknown, counts.total
    results().print(
        f"{counted(total, 'call')} on {counted(len(counts.calls), 'breaker')}, "
        f"{counted(unknown, 'outcome')} unknown ({_percent(unknown, total)})"
    )
    if counts.lost:
        note(f"{counted(counts.lost, 'event')} could not be written to this log; not counted here")
    results().print()
    totals = [Figures.total(v.figures for v in column.values()) for column in columns.values()]
    rows = [
        (told, *(_range(name, getattr(figures, name)) for figures in totals))
        for name, told in _TOLD.items()
    ]
    outages = sum(len(verdict.outages) for verdict in next(iter(columns.values())).values())
    if outages:
        rows.append(("outages noticed", *_delay_cells(columns, "detection", _noticed)))
        for kind, told in (("detection", "detection delay"), ("recovery", "recovery delay")):
            rows.append((f"{told}, median", *_delay_cells(columns, kind, lambda t: t.median)))
            rows.append((f"{told}, longest", *_delay_cells(columns, kind, lambda t: t.longest)))
    print_table(("", *columns), rows, right=tuple(columns))
    if len(counts.calls) > 1:
        _print_breakers(counts, columns[_SETTINGS])
    if not all(v.is_complete for column in columns.values() for v in column.values()):
        note("too many outcomes are unknown to follow; some ranges say only what is always true")


def _print_breakers(counts: _Counts, column: Column) -> None:
    moved = [name for name, verdict in column.items() if verdict.figures.trips.high]
    moved.sort(key=lambda name: (-column[name].figures.trips.high, name))
    results().print()
    names = ("trips", "saved", "lost", "let_through")
    print_table(
        (
            "breaker, with these settings",
            "calls",
            "unknown",
            "trips",
            "saved",
            "lost",
            "let through",
        ),
        (
            (
                name,
                *(f"{count:,}" for count in counts.calls[name]),
                *(_range(figure, getattr(column[name].figures, figure)) for figure in names),
            )
            for name in moved[:_BREAKERS_SHOWN]
        ),
        right=("calls", "unknown", "trips", "saved", "lost", "let through"),
    )
    rest = len(moved) - _BREAKERS_SHOWN
    if rest > 0:
        results().print(f"… and {counted(rest, 'breaker')} more that would trip; --json has all")
    results().print(f"{counted(len(column) - len(moved), 'breaker')} would not trip")


def _noticed(summary: DelaySummary) -> Range:
    return summary.ended


def _delay_cells(
    columns: Mapping[str, Column],
    kind: str,
    part: Callable[[DelaySummary], Range | tuple[int | None, int | None]],
) -> Sequence[str]:
    cells = []
    for column in columns.values():
        delays = _all(column, kind)
        summary = summarize_delays(delays)
        if summary is None:
            cells.append("no outage ended")
            continue
        value = part(summary)
        if isinstance(value, Range):
            cells.append(f"{_range('', value)} of {len(delays):,}")
        else:
            low, high = ("never" if ns is None else duration(ns) for ns in value)
            cells.append(low if low == high else f"{low} to {high}")
    return cells


def _range(name: str, value: Range) -> str:
    told: Callable[[int], str] = (
        duration if name in FIGURES and name.endswith("_ns") else "{:,}".format
    )
    return told(value.low) if value.exact else f"{told(value.low)} to {told(value.high)}"


def _percent(part: int, whole: int) -> str:
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %" if tenths or not part else "under 0.1 %"
