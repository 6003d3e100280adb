"""What ``recloser import`` prints: how files were understood, and what was imported."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen

from recloser.cli.render.schemas.log_schemas import import_object
from recloser.cli.render.terminal import note, print_json, print_table, print_text
from recloser.core.events import REFUSED
from recloser.core.formatting import quantity
from recloser.importers.call_log import ImportSummary
from recloser.importers.formats.format_description import TimeField
from recloser.importers.import_batches import CallBatch
from recloser.importers.outcomes.outcome_rules import Verdict
from recloser.importers.trace_import import TraceImport
from recloser.importers.values.field_text import MISSING

_CALLS_SHOWN: Final = 3
_ROWS_SHOWN: Final = 20
_MOST_UNREADABLE: Final = 1000
_NS_PER_S: Final = 1_000_000_000
_ROLES_THAT_SUFFICE: Final = 2  # of start, end and duration

MANY_BREAKERS: Final = 100
"""From this number of breakers on, few calls per breaker mean that names hold too many fields."""

_FEW_CALLS_PER_BREAKER: Final = 5
_MOST_BREAKERS_COUNTED: Final = 100_000


@frozen
class Sample:
    """A call as it was understood.

    Attributes:
        start: The time it started, in UTC.
        breaker: The name of its breaker.
        took_ns: The nanoseconds it took.
        outcome: How it ended: ``succeeded``, ``failed``, ``ignored`` or ``unknown``.
        error: The name of the failure; None for a success.
    """

    start: str
    breaker: str
    took_ns: int
    outcome: str
    error: str | None


class Sampled:
    """Passes calls on, and keeps the first three and the figures of all.

    Attributes:
        first: The first three calls.
        summary: How many lines were read, and what they were.
    """

    def __init__(self) -> None:
        self.first: list[Sample] = []
        self.summary = ImportSummary()
        self._breakers: set[str] = set()

    def __call__(self, batches: Iterator[CallBatch]) -> Iterator[CallBatch]:
        """Yield the batches unchanged."""
        for calls in batches:
            for row in range(min(_CALLS_SHOWN - len(self.first), len(calls))):
                labels = calls.labels[row] if calls.labels is not None else {}
                sample = Sample(
                    _utc(calls.start[row]),
                    calls.breaker[row],
                    calls.took[row],
                    "unknown" if REFUSED in labels else calls.outcome[row].value,
                    calls.error[row],
                )
                self.first.append(sample)
            self._count(calls)
            yield calls

    def _count(self, calls: CallBatch) -> None:
        summary = self.summary
        summary.calls += len(calls)
        summary.read += len(calls) + len(calls.unreadable) + sum(calls.skipped.values())
        summary.unread += len(calls.unreadable)
        summary.unreadable += calls.unreadable[: _MOST_UNREADABLE - len(summary.unreadable)]
        for what, count in calls.skipped.items():
            summary.skipped[what] += count
        if len(self._breakers) < _MOST_BREAKERS_COUNTED:
            self._breakers.update(calls.breaker)
        summary.breakers = len(self._breakers)


def print_understood(ready: TraceImport, samples: Sequence[Sample]) -> None:
    """Print the format, the first calls, and what each outcome is taken for."""
    description = ready.format.description
    wrapped = "".join(f", wrapped in {wrapper.title}" for wrapper in ready.wrappers)
    print_text(f"understood as {description.name}: {description.title}{wrapped}")
    print_text("")
    print_table(
        ["start (UTC)", "breaker", "took", "outcome"],
        [
            (
                sample.start,
                sample.breaker,
                f"{sample.took_ns / _NS_PER_S:,.9f}".rstrip("0").rstrip(".") + " s",
                sample.outcome + (f" ({sample.error})" if sample.error else ""),
            )
            for sample in samples
        ],
        right=["took"],
    )
    print_text("")
    print_outcomes(ready)
    roles = ready.mapper.roles
    if not roles["duration"] and not (roles["start"] and roles["end"]):
        print_text(
            "how long calls took is not known, so each takes 0 s; name the field with --duration"
        )
    print_text("")


def warn_of_many_breakers(summary: ImportSummary, *, is_grouped: bool) -> None:
    """Warn if there are many breakers, each with too few calls to open.

    Args:
        summary: The figures of the import.
        is_grouped: Whether ``--group`` was given, or the command does not have it.
    """
    if (
        summary.breakers < MANY_BREAKERS
        or summary.calls >= _FEW_CALLS_PER_BREAKER * summary.breakers
    ):
        return
    remedy = "name fewer fields with --breaker"
    if not is_grouped:
        remedy += ", or add --group, which replaces /users/123 by /users/{id}"
    note(
        f"{summary.breakers:,} breakers have {summary.calls / summary.breakers:.1f} calls each, too "
        f"few to open any: {remedy}"
    )


def print_outcomes(ready: TraceImport) -> None:
    """Print the table of outcomes: their values, what they count as, and how many calls have them."""
    rows = ready.classifier.table()
    shown = rows[:_ROWS_SHOWN]
    fields = ready.classifier.fields or ["outcome"]
    values = [row.values or ("",) for row in shown]
    # Leave out a field that no record has, such as one of gRPC in a log of HTTP.
    used = [n for n, _ in enumerate(fields) if any(each[n] not in MISSING for each in values)]
    used = used or [0]
    print_table(
        [*(fields[n] for n in used), "taken for", "calls"],
        [
            (*(each[n] for n in used), row.verdict.value, f"{row.count:,}")
            for each, row in zip(values, shown, strict=True)
        ],
        right=["calls"],
        red=[n for n, row in enumerate(shown) if row.verdict is Verdict.UNKNOWN],
    )
    if len(rows) > len(shown):
        print_text(f"and {len(rows) - len(shown):,} further rows; --json has them all")


def command_for(
    files: Sequence[str], ready: TraceImport, out: str, given: Mapping[str, Any]
) -> str:
    """The full command that imports the files in the same way, to keep and run again.

    Args:
        files: The files.
        ready: The import, which has read its input.
        out: The path of the log.
        given: The options that the command had, by their names.
    """
    options: dict[str, Any] = {}
    if not given.get("--log-format") and not given.get("--regex"):
        options["--format"] = ready.format.description.name
    options["--unwrap"] = [wrapper.name for wrapper in ready.wrappers] or ["none"]
    options["--breaker"] = ready.mapper.template
    if ready.decimal == ",":
        options["--decimal"] = ready.decimal
    used = {name: roles for name, roles in ready.mapper.roles.items() if roles}
    if len(used) <= _ROLES_THAT_SUFFICE:  # all three can't be given
        options |= {f"--{name}": str(each[0]) for name, each in used.items() if len(each) == 1}
    options |= {name: value for name, value in given.items() if value not in (None, (), [])}
    words = ["recloser", "import", *files]
    for name, value in options.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [name] if each is True else [name, str(each)]
    return shlex.join([*words, "-o", out])


def report(
    summary: ImportSummary | None,
    ready: TraceImport,
    *,
    out: str,
    limit: int,
    as_json: bool,
    more: Mapping[str, object] | None = None,
) -> None:
    """Print what was imported.

    Args:
        summary: The figures of the log; None after a dry run.
        ready: The import, which has read its input.
        out: The path of the log.
        limit: How many of the lines that could not be read to show; 0 shows all that are kept.
        as_json: Whether to print one JSON object.
        more: Further keys of the JSON object.
    """
    if summary is not None:
        print_unreadable(summary, limit)
    if ready.joined:
        note(
            f"{quantity(ready.joined, 'call')} named by the span of the server, because that of the "
            "client has no target"
        )
    for name, why in ready.cuts.items():
        note(f"{name}: {why}; everything before the cut is imported")
    if ready.mapper.ambiguous_time is not None:
        note(
            f"{ready.mapper.ambiguous_time} occurred twice in the zone, because clocks were set back; such times "
            "are taken as the first of the two"
        )
    if as_json:
        print_json(import_object(summary, ready, out, **(more or {})))
    elif summary is not None:
        print_summary(summary, out)


def print_unreadable(summary: ImportSummary, limit: int) -> None:
    """Note which lines could not be read, and why; ``limit`` 0 shows all that are kept."""
    for line in summary.unreadable[: limit or None]:
        note(f"{line.source}, {line.unit} {line.line}: {line.why}")
    if summary.unread:
        note(f"{quantity(summary.unread, 'line')} of {summary.read:,} could not be read")


def print_summary(summary: ImportSummary, out: str) -> None:
    """Print the figures of an import on one line, and what was read that is not a call."""
    print_text(
        f"read {quantity(summary.read, 'line')}: {quantity(summary.calls, 'call')} on "
        f"{quantity(summary.breakers, 'breaker')}, {summary.succeeded:,} succeeded, "
        f"{summary.failed:,} failed, {summary.ignored:,} ignored; written to {out}"
    )
    print_skipped(summary)


def print_skipped(summary: ImportSummary) -> None:
    """Print how many records are not calls, by what they are."""
    for what, count in sorted(summary.skipped.items()):
        print_text(f"not calls: {count:,} {what}")


def _utc(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // _NS_PER_S, UTC):%Y-%m-%dT%H:%M:%S}.{ns % _NS_PER_S:09d}Z"


def roles_from(
    start: str | None, end: str | None, duration: str | None
) -> dict[str, TimeField | None]:
    """The fields of start, end and duration that options name."""
    texts = {"start": start, "end": end, "duration": duration}
    return {name: None if text is None else TimeField.parse(text) for name, text in texts.items()}
