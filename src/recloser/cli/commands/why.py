"""``recloser why``: why a breaker opened, or why it was in its state at a given time."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from recloser.audit.cause import Answer, as_data
from recloser.audit.query import ALL_TRIPS, LogQuery, QueryResult, Question
from recloser.audit.segment_lookup import SegmentRange
from recloser.cli.log_input import driven_if_traffic, log_path, note_tail
from recloser.cli.options import (
    GivenSettings,
    examples,
    json_option,
    log_argument,
    settings_options,
)
from recloser.cli.render.terminal import note, print_json, print_text

if TYPE_CHECKING:
    _WholeNumber = click.ParamType[int]
else:
    _WholeNumber = click.ParamType  # has no type parameter in older versions of click


class _Trip(_WholeNumber):
    name = "trip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "all":
            return ALL_TRIPS
        number = click.INT.convert(value, param, ctx)
        if number == ALL_TRIPS:
            self.fail("trips are counted from 1, or backwards from -1", param, ctx)
        return int(number)


@click.command(
    short_help="Explain why a breaker opened, with the calls that made it open.",
    epilog=examples(
        "recloser why logs/payments",
        "recloser why logs/payments --breaker bank --trip 2",
        "recloser why logs/payments --at 2026-11-24T14:48:54Z --markdown",
        "recloser why calls --set failure_threshold=3",
    ),
)
@log_argument
@click.option(
    "--breaker", metavar="NAME", help="The breaker; by default, the one that opened last."
)
@click.option(
    "--trip",
    "trips",
    type=_Trip(),
    multiple=True,
    metavar="N",
    help="Which trip of the breaker: 1 is the first, -1 the last, all is every one; by default, the "
    "last. Can be repeated.",
)
@click.option(
    "--at",
    "time",
    metavar="TIME",
    help="Explain the state at this time instead of a trip: in UTC as 2026-11-24T14:48:54Z, in local "
    "time without the Z or as 14:48:54, before the end of the log as -5m, after its beginning as "
    "+1h30m, or at an event as seq:106.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Read the log from its beginning, so that all trips are counted; slow for a long log.",
)
@settings_options
@json_option
@click.option(
    "--json-schema",
    is_flag=True,
    help="Print the JSON Schema of the output of --json; LOG is not read.",
)
@click.option(
    "--markdown", "as_markdown", is_flag=True, help="Print Markdown, for an incident document."
)
def command(
    *,
    log: str,
    breaker: str | None,
    trips: Sequence[int],
    time: str | None,
    whole: bool,
    given: GivenSettings,
    as_json: bool,
    json_schema: bool,
    as_markdown: bool,
) -> None:
    """Explain why a breaker in LOG opened, or with --at, why it was in its state at a time.

    The first line is the answer. Below it are the rule and its figures, the calls that made it
    fire, the fewest of them that would have kept the breaker closed, the nearest settings that
    would not have tripped, and what the open period cost.

    LOG is a folder of segments, one segment, a Parquet file, or - for standard input. If it holds
    imported calls, they drive breakers with the settings given. Only the part of the log around the
    answer is read, unless a trip is counted from 1 or --whole is given.
    """
    if json_schema:
        print_json(msgspec.json.schema(Answer))
        return
    if time is not None and trips:
        raise click.UsageError("--trip and --at are different questions; give one of them")
    question = Question(breaker, trips or (-1,), time, is_whole=whole)
    with (
        log_path(log) as path,
        driven_if_traffic(path, given) as (written, traffic),
    ):
        found = LogQuery(written, log, traffic).ask(question)
        _print_notes(found, path)
    settings = [] if given.path is None else ["--config", str(given.path)]
    for assignment in given.assignments:
        settings += ["--set", assignment]
    if traffic is not None:
        keep_command = shlex.join(["recloser", "replay", log, *settings, "-o", "DRIVEN"])
        note(
            f"breakers were driven for this answer only; to keep the log with these seq numbers: {keep_command}"
        )
    if as_json:
        print_json(as_data(found.answer))
    elif as_markdown:
        from recloser.cli.render.why_markdown import markdown

        print_text(markdown(found.answer, settings), end="")
    else:
        from recloser.cli.render.why_text import print_answer

        print_answer(found.answer, settings)


def _print_notes(found: QueryResult, path: Path) -> None:
    for difference in found.history.differences[:1]:
        note(f"this answer is not proved: at seq {difference.seq} the history differs from the log")
    read = found.history.events
    if isinstance(read, SegmentRange) and read.reaches_end:
        note_tail(path, found.history.tail)
    if len(found.others) > 1 and found.answer.standing:
        note(f"this is one of {len(found.others):,} breakers: choose with --breaker")
    elif len(found.others) > 1 and found.answer.causes:
        note(
            f"{len(found.others):,} breakers opened, and this one opened last: choose with --breaker "
            "and --trip"
        )
