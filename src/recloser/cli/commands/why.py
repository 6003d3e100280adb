"""``recloser why``: why a breaker opened, or was in the state that it was in."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recloser.audit.cause import Answer, as_data
from recloser.audit.query import ALL_TRIPS, LogQuery, QueryResult, Question
from recloser.audit.segment_lookup import SegmentRange
from recloser.cli.options import (
    Given,
    driven_if_traffic,
    json_option,
    log_argument,
    log_path,
    noted,
    settings_options,
)
from recloser.cli.render.terminal import note, print_json, print_text

if TYPE_CHECKING:
    _WholeNumber = click.ParamType[int]
else:
    _WholeNumber = click.ParamType  # which takes no parameters in older versions of click


class _Trip(_WholeNumber):
    name = "trip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "all":
            return ALL_TRIPS
        number = click.INT.convert(value, param, ctx)
        if number == ALL_TRIPS:
            self.fail("trips are counted from 1, or from -1 backwards", param, ctx)
        return int(number)


@click.command(short_help="Say why a breaker opened, and what that rests on.")
@log_argument
@click.option("--breaker", metavar="NAME", help="Which breaker; by default the last that opened.")
@click.option(
    "--trip",
    "trips",
    type=_Trip(),
    multiple=True,
    metavar="N",
    help="Which of its trips, from 1; -1, the default, is the last; all; repeatable.",
)
@click.option(
    "--at",
    "moment",
    metavar="TIME",
    help="Say why it was in its state then: UTC as 2026-11-24T14:48:54Z, local without the Z or as "
    "14:48:54, relative as -5m (before the log's end) or +1h30m (after its beginning), or seq:106.",
)
@click.option("--whole", is_flag=True, help="Read the log from its beginning, to count all trips.")
@settings_options
@json_option
@click.option("--json-schema", is_flag=True, help="Print the JSON Schema of what --json prints.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown for a document.")
def command(
    *,
    log: str,
    breaker: str | None,
    trips: Sequence[int],
    moment: str | None,
    whole: bool,
    given: Given,
    as_json: bool,
    json_schema: bool,
    as_markdown: bool,
) -> None:
    """Say why a breaker in LOG opened, or was as it was at a moment, closed too.

    The answer is read from the checkpoints nearest to it; trips counted from 1, all, or --whole
    read the log from its beginning. With --json-schema LOG is not read.
    """
    if json_schema:
        print_json(_schema())
        return
    if moment is not None and trips:
        raise click.UsageError("--trip and --at ask for different things; give one of them")
    question = Question(breaker, trips or (-1,), moment, is_whole=whole)
    with (
        log_path(log) as path,
        driven_if_traffic(path, given) as (written, traffic),
    ):
        found = LogQuery(written, log, traffic).ask(question)
        _say(found, path)
    settings = [] if given.path is None else ["--config", str(given.path)]
    for assignment in given.assignments:
        settings += ["--set", assignment]
    if traffic is not None:
        keep = shlex.join(["recloser", "replay", log, *settings, "-o", "DRIVEN"])
        note(f"driven for this answer only; to keep the log that seq numbers are of: {keep}")
    if as_json:
        print_json(as_data(found.answer))
    elif as_markdown:
        from recloser.cli.render.why_markdown import markdown

        print_text(markdown(found.answer, settings), end="")
    else:
        from recloser.cli.render.why_text import print_answer

        print_answer(found.answer, settings)


def _say(found: QueryResult, path: Path) -> None:
    for difference in found.history.differences[:1]:
        note(f"this history is not proved: it parts from the log at seq {difference.seq}")
    read = found.history.events
    if isinstance(read, SegmentRange) and read.reaches_end:
        noted(path, found.history)
    if len(found.others) > 1 and found.answer.standing:
        note(f"{len(found.others):,} breakers, and this is one: choose with --breaker")
    elif len(found.others) > 1 and found.answer.causes:
        note(
            f"{len(found.others):,} breakers opened, and this is the last that did: choose with "
            "--breaker and --trip"
        )


def _schema() -> dict[str, object]:
    import msgspec

    return msgspec.json.schema(Answer)
