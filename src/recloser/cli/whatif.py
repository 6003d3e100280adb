"""``recloser whatif``: the same traffic under other settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import click

from recloser.cli.arguments import (
    json_option,
    log_argument,
    log_path,
    read_config,
    settings_options,
    source_option,
)
from recloser.cli.terminal import counted, duration, note, print_json, print_table, results
from recloser.config import CircuitBreakerConfig
from recloser.log.reader import LogReader
from recloser.replay import scans
from recloser.replay.calls import UNKNOWN
from recloser.replay.ledger import FIGURES, Figures, Range
from recloser.replay.outages import OUTAGE_FAILURES, Delay
from recloser.replay.traffic import Traffic, read_traffic
from recloser.replay.whatif import Timed, Verdict, timed, what_did, what_if

Column: TypeAlias = Mapping[str, Verdict]

_TOLD: Final = {
    "trips": "trips",
    "open_ns": "not closed",
    "rejected": "calls rejected",
    "saved": "… that would have failed (saved)",
    "lost": "… that would have succeeded (lost)",
    "let_through": "failures let through",
}
_BREAKERS_SHOWN: Final = 10


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
@json_option
def command(
    *,
    log: str,
    config_path: Path | None,
    assignments: Sequence[str],
    config_from: str | None,
    against_path: Path | None,
    breaker: str | None,
    failures: int,
    as_json: bool,
) -> None:
    """Say what other settings would have made of the calls in LOG, beside what happened.

    LOG is imported traffic or a log that breakers wrote. Without --config, settings of a log that
    breakers wrote begin with its own. A call that the recorded breaker refused may have ended
    either way: a figure that depends on it is told from its least to its most.
    """
    traffic = traffic_in(log, breaker)
    config = _config_for(traffic, config_path, assignments, config_from)
    columns: dict[str, Column] = {
        "as recorded" if traffic.recorded else "no breaker": what_did(traffic, failures),
        "these settings": what_if(traffic, config, failures),
    }
    if against_path is not None:
        other = read_config(against_path, ())
        columns[str(against_path)] = what_if(traffic, lambda _name: other, failures)
    if as_json:
        print_json(_as_data(traffic, columns))
    else:
        _print(traffic, columns)


def traffic_in(log: str, breaker: str | None) -> Traffic:
    """The calls in a log, or those of one breaker; it is said if reading them takes long."""
    if not scans.VECTORISED:
        note(
            "numpy is not installed, so calls are gone through one by one, which takes longer; "
            "pip install 'recloser[parquet]'"
        )
    with log_path(log) as path:
        traffic = read_traffic(LogReader(path))
    return traffic if breaker is None else traffic.only(breaker)


def _config_for(
    traffic: Traffic,
    config_path: Path | None,
    assignments: Sequence[str],
    config_from: str | None,
) -> Callable[[str], CircuitBreakerConfig]:
    if config_path is not None or config_from is not None or not traffic.recorded:
        config = read_config(config_path, assignments, config_from)
        return lambda _name: config
    configs = {
        name: read_config(None, assignments, base=traffic.configs[name].to_mapping())
        for name in traffic.calls
    }
    return configs.__getitem__


def _as_data(traffic: Traffic, columns: Mapping[str, Column]) -> Mapping[str, object]:
    return {
        "schema": "recloser.whatif/1",
        "calls": traffic.total,
        "unknown": traffic.unknown,
        "lost_events": traffic.lost,
        "recorded": traffic.recorded,
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
                        "followed": verdict.followed,
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
    summary = timed(delays)
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


def _print(traffic: Traffic, columns: Mapping[str, Column]) -> None:
    unknown, total = traffic.unknown, traffic.total
    results().print(
        f"{counted(total, 'call')} on {counted(len(traffic.calls), 'breaker')}, "
        f"{counted(unknown, 'outcome')} unknown ({_percent(unknown, total)})"
    )
    if traffic.lost:
        note(f"{counted(traffic.lost, 'event')} could not be written to this log; not counted here")
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
    if len(traffic.calls) > 1:
        _print_breakers(traffic, columns["these settings"])
    if not all(v.followed for column in columns.values() for v in column.values()):
        note("too many outcomes are unknown to follow; some ranges say only what is always true")


def _print_breakers(traffic: Traffic, column: Column) -> None:
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
                f"{len(traffic.calls[name]):,}",
                f"{traffic.calls[name].count(UNKNOWN):,}",
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


def _noticed(summary: Timed) -> Range:
    return summary.ended


def _delay_cells(
    columns: Mapping[str, Column],
    kind: str,
    part: Callable[[Timed], Range | tuple[int | None, int | None]],
) -> Sequence[str]:
    cells = []
    for column in columns.values():
        delays = _all(column, kind)
        summary = timed(delays)
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
