"""``recloser replay``: rebuild the states of a log, and check its edges."""

from collections import Counter
from collections.abc import Sequence
from decimal import InvalidOperation
from pathlib import Path

import click

from recloser import cli
from recloser.cli.commands.replay_proof import show_proof, show_sensitivity
from recloser.cli.dask_engine import DaskEngine
from recloser.cli.log_input import log_path, replayed
from recloser.cli.options import (
    GivenSettings,
    engine_options,
    examples,
    json_option,
    log_argument,
    settings_options,
)
from recloser.cli.render.differences import lines_of, print_lines
from recloser.cli.render.history_tables import print_breakers, print_edges
from recloser.cli.render.schemas.history_schemas import history_object
from recloser.cli.render.terminal import note, print_json, results
from recloser.core.formatting import printable, quantity
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


@click.command(
    short_help="Rebuild the states of all breakers, and check the edges recorded live.",
    epilog=examples(
        "recloser replay logs/payments",
        "recloser replay logs/payments --prove",
        "recloser replay calls --set failure_threshold=5 -o driven",
        "recloser replay 'logs/*.parquet' --engine dask --workers 4",
    ),
)
@log_argument
@settings_options
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="DRIVEN",
    help="Write the log of the breakers that imported calls drive to this folder, which must not "
    "exist.",
)
@click.option(
    "--golden",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare the history with a golden file. Its settings are used for imported calls if none "
    "are given.",
)
@click.option(
    "--edges",
    "limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=20,
    show_default=True,
    help="How many of the last edges to print; 0 prints all.",
)
@click.option(
    "--warp",
    "texts",
    multiple=True,
    metavar="WARP",
    help="Replay as if a clock had been wrong in this way. Can be repeated. One of: "
    f"{', '.join(FORMS)}.",
)
@click.option(
    "--prove",
    is_flag=True,
    help="Compute the history again in some twenty ways that must not change it, and compare.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Find the smallest error of the monotonic clock that changes the history.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="The largest number of processes that fold a long log; by default, one per processor.",
)
@click.option(
    "--merge-hosts",
    is_flag=True,
    help="With --engine dask, treat breakers with one name in several logs as one breaker that all "
    "hosts share.",
)
@click.option(
    "--clock-uncertainty",
    "uncertainty",
    metavar="TIME",
    help="With --merge-hosts, how wrong the wall clock of a host may be, such as 5ms; by default, "
    "as much as its log shows.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: DaskEngine | None,
    merge_hosts: bool,
    uncertainty: str | None,
    given: GivenSettings,
    out: Path | None,
    golden: Path | None,
    limit: int,
    texts: Sequence[str],
    prove: bool,
    sensitivity: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Rebuild the state of every breaker in LOG, and compare its edges with those recorded live.

    LOG is a folder of segments, one segment, a Parquet file, or - for standard input. If it holds
    imported calls, they drive breakers with the settings given.

    --prove computes the history again in some twenty ways, such as in another process, under wrong
    wall clocks, and cut and resumed from snapshots. A difference is a fault of recloser. --sensitivity
    shows how wrong the monotonic clock may be before the history changes.

    With --engine dask, LOG is many exported logs, each with breakers of its own; breakers with one name
    are shown with their host. --merge-hosts instead puts the calls of all hosts in the order of wall
    time, drives one shared breaker with them, and shows whether an order that the clocks leave open
    would change an edge.

    Exit status: 1 the histories differ, 3 the log is damaged, 4 only its last line is torn.
    """
    if engine is not None or merge_hosts or uncertainty is not None:
        return _replay_many(
            log,
            engine,
            given,
            merge_hosts=merge_hosts,
            uncertainty=uncertainty,
            is_plain=not (prove or sensitivity or texts or out or golden),
            limit=limit,
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
            status = _replay_columns(path, given, limit, as_json=as_json)
            if status is not None:
                return status
        warps = parse_warps(texts)
        expected = None if golden is None else read_golden(golden)
        history = _history(path, given, out=out, golden=expected, warps=warps, jobs=jobs)
        if bending(warps):
            note("the time that decisions are taken by is warped: witnesses are not compared")
        comparison = (
            None if expected is None else compare_with(expected, summarize(history), history)
        )
        if as_json:
            print_json(history_object(history, comparison))
        else:
            _print(history, limit)
            if comparison is not None:
                _print_golden(golden, comparison)
    return _status(history, comparison)


def _status(history: History, comparison: Comparison | None) -> int:
    """The exit status; the reason for one that is not 0 is noted on standard error."""
    if history.engine_reason is not None:
        note(f"folded event by event: {history.engine_reason}")
    for difference in history.differences[:1]:
        note(
            f"the histories differ at seq {difference.seq}: expected {difference.expected}; "
            f"got {difference.got}"
        )
    if history.differences or comparison:
        return cli.DIFFERENCE
    return cli.TORN if history.tail.torn else 0


def _replay_columns(
    path: Path,
    given: GivenSettings,
    limit: int,
    *,
    as_json: bool,
) -> int | None:
    """Replay imported calls in Parquet; None if the log is not that, or needs driving call by call."""
    columns = LogReader(path).columns()
    if columns is None or not columns.about.traffic:
        return None
    from recloser.cli.commands.replay_imported import show_driven

    return show_driven(path, given, limit, as_json=as_json)


def _replay_many(
    dataset: str,
    engine: DaskEngine | None,
    given: GivenSettings,
    *,
    merge_hosts: bool,
    uncertainty: str | None,
    is_plain: bool,
    limit: int,
    as_json: bool,
) -> int:
    if not is_plain:
        raise click.UsageError(
            "--prove, --sensitivity, --warp, -o and --golden can't be used with --engine dask"
        )
    if engine is None:
        raise click.UsageError("--merge-hosts and --clock-uncertainty need --engine dask")
    if uncertainty is not None and not merge_hosts:
        raise click.UsageError("--clock-uncertainty needs --merge-hosts")
    from recloser.cli.commands.replay_many import show_many

    return show_many(
        dataset,
        engine,
        given,
        uncertainty_ns=_uncertainty_ns(uncertainty) if merge_hosts else None,
        limit=limit,
        as_json=as_json,
    )


def _uncertainty_ns(text: str | None) -> int:
    try:
        ns = read_ns(text or "0ns")
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(
            f"cannot read {text!r} as a clock uncertainty; write it as 5ms"
        ) from error
    if ns < 0:
        raise ConfigError(f"a clock uncertainty must be at least 0ns, not {text}")
    return ns


def _history(
    path: Path,
    given: GivenSettings,
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


def _print(history: History, limit: int) -> None:
    trips = Counter(edge.breaker for edge in history.trips())
    print_breakers(
        (name, each.state, trips[name], each.totals) for name, each in history.snapshots.items()
    )
    dated = [(history.timeline.text(edge.at), edge.breaker, edge) for edge in history.edges]
    print_edges(dated, limit)
    differing = len(history.differences)
    results().print(
        f"\n{quantity(history.count, 'event')}, {quantity(len(history.edges), 'edge')}, "
        f"{quantity(history.witnesses, 'witness', 'witnesses')} checked, "
        f"{f'{differing:,} differ' if differing else 'all equal'}; digest {history.digest[:16]}"
    )


def _print_golden(golden: Path | None, comparison: Comparison) -> None:
    results().print(f"{'differs from' if comparison else 'equal to'} {printable(str(golden))}")
    if comparison:
        print_lines(lines_of(comparison))
