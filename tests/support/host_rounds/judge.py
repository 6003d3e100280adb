"""The verdict on a round: compares the reports of its processes with the logs they left."""

import json
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from host_rounds.checks import HUNG_STATUS, counts_of, differences, plain
from host_rounds.ledger import KINDS
from host_rounds.plan import Plan
from recloser import CircuitBreaker, EventLog, RecloserError, replay
from recloser.log.listing import files_below, is_there, matching, segments_in
from recloser.log.reader import LogReader

HANG: Final = "hang"
UNREADABLE: Final = "unreadable"
UNACCOUNTED: Final = "unaccounted"

FAMILIES: Final = {
    HANG: "processes that did not answer",
    UNREADABLE: "logs that can't be read",
    UNACCOUNTED: "breakers with outcomes neither recorded nor counted, or recorded twice",
    "drift": "logs that fold to another state than the live one",
    "unwritten": "logs whose events were never written",
    "error": "exceptions of recloser in protected calls",
    "thread": "threads that died",
    "crash": "processes that ended without a report",
    "silent": "closed logs without a warning or a count",
}
"""Families of violations, and how a summary names them."""


_ANY: Final = 10**9


@attrs.define
class Verdict:
    """Result of a round.

    Attributes:
        plan: The plan of the round.
        python: The interpreter that ran it.
        violations: The faults found: family and description.
        processes: The number of processes.
        outcomes: The number of outcomes that must be recorded.
        uncertain: The number of outcomes that may or may not be recorded.
        lost: The number of events that the logs counted as lost.
        raised: How often an attack raised in the load.
        acted: How often a handler called a breaker or the log.
        slowest: The longest time that a process took to answer, in seconds.
        seconds: How long the round took.
    """

    plan: Plan
    python: str
    violations: list[tuple[str, str]] = attrs.field(factory=list)
    processes: int = 0
    outcomes: int = 0
    uncertain: int = 0
    lost: int = 0
    raised: int = 0
    acted: int = 0
    slowest: float = 0.0
    seconds: float = 0.0

    @property
    def families(self) -> set[str]:
        """The families of the violations."""
        return {family for family, _ in self.violations}


@attrs.frozen
class _Found:
    """Contents of a log: outcomes by breaker and kind, and the states that it folds to."""

    counts: Mapping[str, Mapping[str, int]]
    states: Mapping[str, Mapping[str, Any]]


def judge(verdict: Verdict, folder: Path, *, is_hung: bool, status: int, errors: str) -> None:
    """Fill in a verdict.

    Args:
        verdict: The verdict, with its plan and interpreter.
        folder: The folder with the reports and logs of the processes.
        is_hung: Whether the first process was still running after its time limit.
        status: The exit status of the first process.
        errors: The text on standard error.
    """
    reports = [json.loads(path.read_text()) for path in matching(folder, "report-*.json")]
    killed = {path.name.removeprefix("killed-"): path for path in matching(folder, "killed-*")}
    for report in reports:
        _add_report(verdict, report)
    reported = {str(report["pid"]) for report in reports}
    for path in matching(folder, "begun-*"):
        pid = path.name.removeprefix("begun-")
        verdict.processes += 1
        dump = (folder / f"dump-{pid}").read_text()
        who = f"process {pid}, {path.read_text()}"
        has_ended = pid in reported or pid in killed
        if (dump and (not has_ended or HANG in verdict.families)) or (is_hung and not has_ended):
            verdict.violations.append((HANG, f"{who}:\n{dump}"))
        elif not has_ended and status != HUNG_STATUS:
            verdict.violations.append(("crash", f"{who}, status of the first {status}:\n{errors}"))
    _compare_logs(verdict, folder, reports, [path.read_text() for path in killed.values()])


def _compare_logs(
    verdict: Verdict, folder: Path, reports: Sequence[Mapping[str, Any]], claimed: Sequence[str]
) -> None:
    """Compare the reports with the logs; ``claimed`` are the logs of killed processes."""
    paths = {report["path"] for report in reports}
    found = dict(_read_logs(verdict, folder, paths))
    for path in paths - {None}:
        of_path = sorted((r for r in reports if r["path"] == path), key=lambda r: r["ended_at"])
        if path not in found or found[path] is not None:
            _compare(verdict, of_path, found.get(path), is_shared=path in claimed)
    for report in reports:
        if report["recorded"] is not None:
            _compare_recorded(verdict, report)


def _add_report(verdict: Verdict, report: Mapping[str, Any]) -> None:
    who = f"process {report['pid']}, {report['role']}"
    verdict.violations += [(family, f"{who}: {what}") for family, what in report["violations"]]
    verdict.slowest = max(verdict.slowest, report["slowest"])
    verdict.raised += report["raised"]
    verdict.acted += report["acted"]
    for book in report["books"].values():
        verdict.outcomes += sum(book["certain"].values())
        verdict.uncertain += book["uncertain"]
    if report["health"] is not None:
        verdict.lost += report["health"]["lost"]


def _read_logs(
    verdict: Verdict, folder: Path, reported: Container[str]
) -> Iterator[tuple[str, _Found | None]]:
    """Yield the contents of each log in files; None for an unreadable one.

    The log of a process that was killed is read after it was opened again, which repairs its end.
    """
    files = files_below(folder / "logs") if is_there(folder / "logs") else ()
    logs = {path.parent for path in files if ".jsonl" in path.name}
    for number, path in enumerate(sorted(logs)):
        try:
            yield (
                str(path),
                _read(verdict, path, folder / f"copy-{number}", is_whole=str(path) in reported),
            )
        except Exception as error:  # noqa: BLE001  # a broken log may raise anything
            kind = "" if isinstance(error, RecloserError) else f"{type(error).__name__}: "
            verdict.violations.append((UNREADABLE, f"{path.name}: {kind}{error}"))
            yield str(path), None


def _read(verdict: Verdict, path: Path, copy: Path, *, is_whole: bool) -> _Found | None:
    shutil.copytree(path, copy)
    with EventLog(copy, on_damage="raise") as log:
        CircuitBreaker("opened again", log=log)
    if not is_whole or not _has_begun(path):
        path = copy
    history = replay(path)
    if history.differences:
        verdict.violations.append(("drift", f"{path.name}: {history.differences[0]}"))
    return _Found(
        counts_of(list(LogReader(path))),
        {name: plain(snapshot) for name, snapshot in history.snapshots.items()},
    )


def _has_begun(path: Path) -> bool:
    """Return whether a log has any content; a child that made no call may leave an empty segment."""
    return any(segment.stat().st_size for segment in segments_in(path))


def _compare(
    verdict: Verdict, reports: Sequence[Mapping[str, Any]], found: _Found | None, *, is_shared: bool
) -> None:
    """Compare the figures that processes have of a log with its contents."""
    last = reports[-1]
    counts = {} if found is None else found.counts
    lost = sum(report["health"]["lost"] for report in reports if report["health"] is not None)
    if any(report["health"] is None for report in reports):
        return  # the process hangs, which is a violation already
    if lost:
        for report in reports:
            _compare_totals(verdict, report)
    else:
        for name in sorted({name for report in reports for name in report["books"]}):
            books = [report["books"][name] for report in reports if name in report["books"]]
            more = _ANY if is_shared else 0
            _balance(verdict, last, name, books, counts.get(name, {}), more=more)
    if last["live"] is None or last["closed_early"] or is_shared:
        return
    if found is not None:
        who = f"process {last['pid']}, {last['role']}"
        for what in differences(found.states, last["live"], has_lost=lost > 0):
            verdict.violations.append(("drift", f"{who}: {what}"))


def _compare_totals(verdict: Verdict, report: Mapping[str, Any]) -> None:
    """Compare the figures of a process with the totals of its breakers, if events were lost.

    Totals include lost outcomes, and are in the log after the gap. The number of outcomes of a lost
    event is unknown.
    """
    if report["totals"] is None or report["live"] is None or report["closed_early"]:
        return
    for name, book in report["books"].items():
        total, more = report["totals"].get(name, 0), report["in_flight"].get(name, 0)
        _balance(verdict, report, name, [book], {"stale": total}, more=more)


def _compare_recorded(verdict: Verdict, report: Mapping[str, Any]) -> None:
    for name, book in report["books"].items():
        counts = dict(report["recorded"].get(name, {}))
        for kind, count in book["baseline"].items():
            counts[kind] = counts.get(kind, 0) - count
        _balance(verdict, report, name, [book], counts)


def _balance(
    verdict: Verdict,
    report: Mapping[str, Any],
    name: str,
    books: Sequence[Mapping[str, Any]],
    counts: Mapping[str, int],
    *,
    more: int = 0,
) -> None:
    certain = {kind: sum(book["certain"][kind] for book in books) for kind in KINDS}
    uncertain = sum(book["uncertain"] + book["spare"] for book in books) + more
    # Totals count stale outcomes of all kinds separately.
    stale = counts.get("stale", 0)
    missing = sum(max(0, certain[kind] - counts.get(kind, 0)) for kind in KINDS) - stale
    least, recorded = sum(certain.values()), sum(counts.values())
    if missing > 0 or recorded < least or recorded > least + uncertain:
        what = (
            f"process {report['pid']}, {report['role']}, {name}: {certain} are certain, "
            f"{uncertain} more possible; recorded are {dict(counts)}"
        )
        verdict.violations.append((UNACCOUNTED, what))
