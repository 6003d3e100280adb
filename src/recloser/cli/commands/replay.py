"""``recloser replay``: the states out of a log, and the witnesses checked."""

from collections import Counter
from collections.abc import Sequence
from decimal import InvalidOperation
from pathlib import Path

import attrs
import click

from recloser import cli
from recloser.cli.engines import Engine, engine_options
from recloser.cli.options import (
    Given,
    json_option,
    log_argument,
    log_path,
    replayed,
    settings_options,
)
from recloser.cli.render.differences import comparison_data, lines_of, print_lines
from recloser.cli.render.edge_lines import edge_data, print_edges
from recloser.cli.render.histories import print_breakers, replay_data
from recloser.cli.render.terminal import counted, note, print_json, printable, results
from recloser.cli.replay_proof import show_proof, show_sensitivity
from recloser.errors import ConfigError
from recloser.golden.golden_file import read_golden
from recloser.golden.golden_pairs import compare_with, config_in
from recloser.history.difference import Comparison
from recloser.history.history import History
from recloser.history.summary import HistorySummary, summarize
from recloser.history.warps import FORMS, Warp, bending, parse_warps, read_ns
from recloser.live.event_log import EventLog
from recloser.log.reader import LogReader
from recloser.log.verification import refuse_existing


@click.command(short_help="Rebuild the states and check the witnesses.")
@log_argument
@settings_options
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="DRIVEN",
    help="Keep the log that breakers driven by imported traffic write.",
)
@click.option(
    "--golden",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with a golden file, which tells the settings too if none are given.",
)
@click.option(
    "--edges",
    "shown",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many of the last edges to print; 0 prints all.",
)
@click.option(
    "--warp",
    "texts",
    multiple=True,
    metavar="WARP",
    help=f"Take a clock for wrong; repeatable. {', '.join(FORMS)}.",
)
@click.option("--prove", is_flag=True, help="Take the history in every way that must not matter.")
@click.option(
    "--sensitivity", is_flag=True, help="Find the smallest error of time that changes the history."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes may fold a log that breakers wrote; by default as many as there are "
    "processors, if it is long enough.",
)
@click.option(
    "--merge-hosts",
    is_flag=True,
    help="Take breakers of one name in several logs for one that all these hosts share.",
)
@click.option(
    "--clock-uncertainty",
    "uncertainty",
    metavar="TIME",
    help="How wrong the wall clock of a host may be, as 5ms; by default, as its log shows.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: Engine | None,
    merge_hosts: bool,
    uncertainty: str | None,
    given: Given,
    out: Path | None,
    golden: Path | None,
    shown: int,
    texts: Sequence[str],
    prove: bool,
    sensitivity: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Rebuild the state of every breaker in LOG and compare its edges with the witnesses.

    LOG is a folder of segments, one segment, or - for standard input. If it holds imported
    traffic, breakers of the settings given are driven with it.

    With --prove the history is taken again in some twenty ways, under other processes and wrong wall
    clocks among them; a difference is a defect, and the exit status is then 1. With --sensitivity
    it is told how wrong the monotonic clock may be before the history is another one.

    With --engine dask, LOG is many exported files, each a log with breakers of its own. Those of one
    name are told apart by their host, unless --merge-hosts asks what one breaker would have done that
    all hosts share: their calls are then put in the order of wall time and drive it, and it is told
    whether an order that the hosts' clocks leave open would change an edge.
    """
    if engine is not None or merge_hosts or uncertainty is not None:
        return _replay_many(
            log,
            engine,
            given,
            merge_hosts=merge_hosts,
            uncertainty=uncertainty,
            is_plain=not (prove or sensitivity or texts or out or golden),
            shown=shown,
            as_json=as_json,
        )
    if sum((prove, sensitivity, bool(texts or out or golden))) > 1:
        raise click.UsageError(
            "--prove, --sensitivity, and --warp, -o or --golden do not go together"
        )
    with log_path(log) as path:
        if prove:
            return show_proof(path, given, as_json=as_json)
        if sensitivity:
            return show_sensitivity(path, given, as_json=as_json)
        if not (texts or out or golden):
            status = _by_columns(path, given, shown, as_json=as_json)
            if status is not None:
                return status
        warps = parse_warps(texts)
        told = None if golden is None else read_golden(golden)
        history = _history(path, given, out=out, golden=told, warps=warps, jobs=jobs)
        if bending(warps):
            note("the time that decisions are taken by is warped: witnesses are not compared")
        comparison = None if told is None else compare_with(told, summarize(history), history)
        if as_json:
            golden_data = {} if comparison is None else {"golden": comparison_data(comparison)}
            print_json({**_as_data(history), **golden_data})
        else:
            _print(history, shown)
            if comparison is not None:
                _print_golden(golden, comparison)
    return _status(history, comparison)


def _status(history: History, comparison: Comparison | None) -> int:
    """The exit status, and a word on why it is none of success."""
    if history.because is not None:
        note(f"folded event by event: {history.because}")
    for difference in history.differences[:1]:
        note(
            f"the histories part at seq {difference.seq}: expected {difference.expected}; "
            f"got {difference.got}"
        )
    if history.differences or comparison:
        return cli.DIFFERENCE
    return cli.TORN if history.tail.torn else 0


def _by_columns(
    path: Path,
    given: Given,
    shown: int,
    *,
    as_json: bool,
) -> int | None:
    """Drive breakers by the columns of exported traffic; None if it is something else."""
    columns = LogReader(path).columns()
    if columns is None or not columns.about.traffic:
        return None
    from recloser.cli.replay_imported import show_driven

    return show_driven(path, given, shown, as_json=as_json)


def _replay_many(
    dataset: str,
    engine: Engine | None,
    given: Given,
    *,
    merge_hosts: bool,
    uncertainty: str | None,
    is_plain: bool,
    shown: int,
    as_json: bool,
) -> int:
    if not is_plain:
        raise click.UsageError(
            "--prove, --sensitivity, --warp, -o and --golden are not of --engine dask"
        )
    if engine is None:
        raise click.UsageError("--merge-hosts and --clock-uncertainty are of --engine dask")
    if uncertainty is not None and not merge_hosts:
        raise click.UsageError("--clock-uncertainty is of --merge-hosts")
    from recloser.cli.replay_many import show_many

    return show_many(
        dataset,
        engine,
        given,
        uncertainty_ns=_uncertainty_ns(uncertainty) if merge_hosts else None,
        shown=shown,
        as_json=as_json,
    )


def _uncertainty_ns(text: str | None) -> int:
    try:
        ns = read_ns(text or "0ns")
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"an uncertainty is a time such as 5ms, not {text!r}") from error
    if ns < 0:
        raise ConfigError(f"an uncertainty is a time from 0ns up, not {text!r}")
    return ns


def _history(
    path: Path,
    given: Given,
    *,
    out: Path | None,
    golden: HistorySummary | None,
    warps: Sequence[Warp],
    jobs: int | None,
) -> History:
    config = None if golden is None else config_in(golden)
    if out is None:
        return replayed(path, given, otherwise=config, warps=warps, jobs=jobs)
    refuse_existing(out)
    with EventLog(out, durability="memory", tick_seconds=None, seal_seconds=None, host="") as log:
        return replayed(path, given, into=log, otherwise=config, warps=warps)


def _as_data(history: History) -> dict[str, object]:
    return replay_data(
        events=history.count,
        digest=history.digest,
        edges=[edge_data(edge, history.timeline) for edge in history.edges],
        breakers={name: (each.state, each.totals) for name, each in history.snapshots.items()},
        engine=history.engine,
        because=history.because,
        witnesses=history.witnesses,
        differences=[attrs.asdict(difference) for difference in history.differences],
    )


def _print(history: History, shown: int) -> None:
    trips = Counter(edge.breaker for edge in history.trips())
    print_breakers(
        (name, each.state, trips[name], each.totals) for name, each in history.snapshots.items()
    )
    dated = [(history.timeline.text(edge.at), edge.breaker, edge) for edge in history.edges]
    print_edges(dated, shown)
    differing = len(history.differences)
    results().print(
        f"\n{counted(history.count, 'event')}, {counted(len(history.edges), 'edge')}, "
        f"{counted(history.witnesses, 'witness', 'witnesses')} checked, "
        f"{f'{differing:,} differ' if differing else 'all equal'}; digest {history.digest[:16]}"
    )


def _print_golden(golden: Path | None, comparison: Comparison) -> None:
    results().print(f"{'it differs from' if comparison else 'as told in'} {printable(str(golden))}")
    if comparison:
        print_lines(lines_of(comparison))
