"""``recloser why``: why a breaker opened."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from recloser.audit.why import Cause, why
from recloser.cli.arguments import json_option, log_argument, log_path, replayed, settings_options
from recloser.cli.terminal import (
    counted,
    duration,
    note,
    print_json,
    print_table,
    printable,
    results,
)
from recloser.replay.history import History


@click.command(short_help="Say why a breaker opened, and what that rests on.")
@log_argument
@click.option("--breaker", metavar="NAME", help="Which breaker; by default the last that opened.")
@click.option(
    "--trip",
    type=int,
    default=-1,
    metavar="N",
    help="Which of its trips, from 1; negative numbers count from the last, the default.",
)
@settings_options
@json_option
def command(
    *,
    log: str,
    breaker: str | None,
    trip: int,
    config_path: Path | None,
    assignments: Sequence[str],
    as_json: bool,
) -> None:
    """Say why a breaker in LOG opened: the rule, its figures, and the outcomes it rests on."""
    with log_path(log) as path:
        history = replayed(path, config_path, assignments)
        for difference in history.differences[:1]:
            note(f"this history is not proved: it parts from the log at seq {difference.seq}")
        chosen = breaker or _last_opened(history)
        if chosen is None:
            _tell_none(history, as_json=as_json)
            return
        cause = why(history, chosen, trip)
    if as_json:
        print_json(cause.to_mapping())
        return
    again = ["recloser", "why", log, "--breaker", chosen, "--trip", str(cause.trip)]
    if config_path is not None:
        again += ["--config", str(config_path)]
    for assignment in assignments:
        again += ["--set", assignment]
    print_cause(cause, shlex.join(again))


def _last_opened(history: History) -> str | None:
    trips = history.trips()
    if not trips:
        return None
    opened = {edge.breaker for edge in trips}
    if len(opened) > 1:
        note(
            f"{counted(len(trips), 'trip')} of {counted(len(opened), 'breaker')}; this is the last: "
            "choose with --breaker and --trip"
        )
    return trips[-1].breaker


def _tell_none(history: History, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "recloser.why/1", "trips": 0})
    else:
        results().print(f"no breaker opened: {counted(len(history.snapshots), 'breaker')}, no trip")


def print_cause(cause: Cause, again: str) -> None:
    """Print why a breaker opened, and the command that tells it again."""
    out = results()
    out.print(printable(cause.headline), style="bold")
    out.print()
    cost = cause.cost
    if cost.closed_by is None:
        ended = f"not closed again {duration(cost.not_closed_ns)} later, where the log ends"
    else:
        ended = (
            f"{duration(cost.not_closed_ns)} later, at {cost.closed_utc}, by {cost.closed_by.value}"
        )
    print_table(
        ("", ""),
        (
            ("rule", _rule(cause)),
            ("trip", f"{cause.trip} of {cause.trips}, state_changed at seq {cause.seq}"),
            ("cost", f"{counted(cost.rejected, 'call')} rejected, {_probes(cause)}"),
            ("closed", ended),
        ),
    )
    if cause.evidence:
        out.print()
        print_table(
            ("seq", "ended (UTC)", "took", "outcome", "error"),
            (
                (str(call.seq), call.utc, duration(call.took_ns), call.outcome, call.error or "")
                for call in cause.evidence
            ),
            right=("seq", "took"),
        )
    out.print()
    out.print(f"again: {printable(again)}")


def _probes(cause: Cause) -> str:
    cost = cause.cost
    failed = f", {cost.relapses:,} of them failed" if cost.relapses else ""
    return f"{counted(cost.probes, 'probe')}{failed}"


def _rule(cause: Cause) -> str:
    rule = cause.rule
    if rule.rate is not None:
        return f"{rule.rule.value}, {rule.observed} of {rule.calls} against {rule.rate}"
    if rule.threshold:
        return f"{rule.rule.value}, {rule.observed} of {rule.threshold}"
    return rule.rule.value
