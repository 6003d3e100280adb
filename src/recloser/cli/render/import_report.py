"""What ``recloser import`` says of an import: how it was understood, and what came of it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from attrs import asdict, frozen

from recloser.cli.render.terminal import counted, note, print_json, print_table, print_text
from recloser.core.events import REFUSED
from recloser.importers.call_log import ImportSummary
from recloser.importers.formats.format_description import TimeField
from recloser.importers.import_batches import CallBatch
from recloser.importers.outcomes.outcome_classifier import OutcomeRow
from recloser.importers.outcomes.outcome_rules import Verdict
from recloser.importers.trace_import import TraceImport
from recloser.importers.values.field_text import MISSING

_SHOWN: Final = 3
_MOST_ROWS: Final = 20
_KEPT: Final = 1000
_S: Final = 1_000_000_000

MANY_BREAKERS: Final = 100
"""With more breakers than this, and few calls of each, it is likely that a name holds too much."""

_FEW_CALLS: Final = 5
_MOST_COUNTED: Final = 100_000


@frozen
class Sample:
    """A call as it was understood.

    Attributes:
        start: When it started, in UTC.
        breaker: Its breaker.
        took_ns: How long it took, in nanoseconds.
        outcome: How it ended.
        error: What names it where it is no success.
    """

    start: str
    breaker: str
    took_ns: int
    outcome: str
    error: str | None


class Sampled:
    """Keeps the first calls that pass, and passes all on.

    Attributes:
        first: The first three.
        summary: How many lines and calls there were, and what is no call.
    """

    def __init__(self) -> None:
        self.first: list[Sample] = []
        self.summary = ImportSummary()
        self._breakers: set[str] = set()

    def __call__(self, batches: Iterator[CallBatch]) -> Iterator[CallBatch]:
        """The same calls."""
        for calls in batches:
            for row in range(min(_SHOWN - len(self.first), len(calls))):
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
        summary.unreadable += calls.unreadable[: _KEPT - len(summary.unreadable)]
        for what, count in calls.skipped.items():
            summary.skipped[what] += count
        if len(self._breakers) < _MOST_COUNTED:
            self._breakers.update(calls.breaker)
        summary.breakers = len(self._breakers)


def print_understood(ready: TraceImport, samples: Sequence[Sample]) -> None:
    """Print the format, the first calls, and what each outcome was taken for."""
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
                f"{sample.took_ns / _S:,.9f}".rstrip("0").rstrip(".") + " s",
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
            "how long calls took is not known: each takes 0 s; name its field with --duration"
        )
    print_text("")


def warn_of_many_breakers(summary: ImportSummary, *, is_grouped: bool) -> None:
    """Warn where there are many breakers with too few calls to open any."""
    if summary.breakers < MANY_BREAKERS or summary.calls >= _FEW_CALLS * summary.breakers:
        return
    remedy = "name fewer fields with --breaker"
    if not is_grouped:
        remedy += ", or give --group to take /users/123 for /users/{id}"
    note(
        f"{summary.breakers:,} breakers have {summary.calls / summary.breakers:.1f} calls each, too "
        f"few to open any: {remedy}"
    )


def print_outcomes(ready: TraceImport) -> None:
    """Print the table of outcomes: the values, what they were taken for, and of how many calls."""
    rows = ready.classifier.table()
    shown = rows[:_MOST_ROWS]
    fields = ready.classifier.fields or ["outcome"]
    values = [row.values or ("",) for row in shown]
    # A field that no record has, such as one of gRPC in a log of HTTP, is left out.
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
    """The full command that an import stands for, to be kept and run again.

    Args:
        files: The files.
        ready: The import.
        out: The path of its log.
        given: The options that were given, by their names.
    """
    options: dict[str, Any] = {}
    if not given.get("--log-format") and not given.get("--regex"):
        options["--format"] = ready.format.description.name
    options["--unwrap"] = [wrapper.name for wrapper in ready.wrappers] or ["none"]
    options["--breaker"] = ready.mapper.template
    if ready.decimal == ",":
        options["--decimal"] = ready.decimal
    used = {name: roles for name, roles in ready.mapper.roles.items() if roles}
    if len(used) < 3:  # noqa: PLR2004  # of three, only two may be given
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
    shown: int,
    extra: Mapping[str, Any] | None,
) -> None:
    """Print what came of an import.

    Args:
        summary: What came of it; None after a dry run.
        ready: The import.
        out: The path of the log.
        shown: How many of the lines that could not be read are shown; 0 for all that are kept.
        extra: What JSON says besides; None for text.
    """
    if summary is not None:
        print_unreadable(summary, shown)
    if ready.joined:
        note(
            f"{counted(ready.joined, 'call')} named by the server's span, as the client's has no target"
        )
    for name, why in ready.cuts.items():
        note(f"{name}: {why}; what stands before is imported")
    if ready.mapper.ambiguous_time is not None:
        note(
            f"{ready.mapper.ambiguous_time} came twice in the zone, as clocks were set back; such times are "
            "taken for the first of both"
        )
    if extra is None:
        if summary is not None:
            print_summary(summary, out)
        return
    print_json(
        {
            "schema": "recloser.import/1",
            "log": None if summary is None else out,
            **({} if summary is None else asdict(summary)),
            "format": ready.format.description.name,
            "unwrapped": ready.unwrapped,
            "outcomes": [_outcome(ready, row) for row in ready.classifier.table()],
            "cuts": ready.cuts,
            "joined": ready.joined,
            **extra,
        }
    )


def print_unreadable(summary: ImportSummary, shown: int) -> None:
    """Say which lines could not be read, and why not."""
    for line in summary.unreadable[: shown or None]:
        note(f"{line.source}, {line.unit} {line.line}: {line.why}")
    if summary.unread:
        note(f"{counted(summary.unread, 'line')} of {summary.read:,} could not be read")


def print_summary(summary: ImportSummary, out: str) -> None:
    """Print what came of an import, in a line."""
    print_text(
        f"read {counted(summary.read, 'line')}: {counted(summary.calls, 'call')} on "
        f"{counted(summary.breakers, 'breaker')}, {summary.succeeded:,} succeeded, "
        f"{summary.failed:,} failed, {summary.ignored:,} ignored; written to {out}"
    )
    print_skipped(summary)


def print_skipped(summary: ImportSummary) -> None:
    """Print how many records are no calls, by what they are."""
    for what, count in sorted(summary.skipped.items()):
        print_text(f"no calls: {count:,} {what}")


def _outcome(ready: TraceImport, row: OutcomeRow) -> dict[str, object]:
    values = dict(zip(ready.classifier.fields, row.values, strict=False))
    return {"values": values, "taken_for": row.verdict.value, "calls": row.count}


def _utc(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // _S, UTC):%Y-%m-%dT%H:%M:%S}.{ns % _S:09d}Z"


def roles_from(
    start: str | None, end: str | None, duration: str | None
) -> dict[str, TimeField | None]:
    """The roles that options name."""
    texts = {"start": start, "end": end, "duration": duration}
    return {name: None if text is None else TimeField.parse(text) for name, text in texts.items()}
