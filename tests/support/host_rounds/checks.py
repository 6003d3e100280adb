"""Checks that a process performs on itself after its load, and its report."""

import gc
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from host_rounds.ledger import FAILED, IGNORED, REJECTED, SUCCEEDED
from host_rounds.load import Load
from recloser import EventLog, LogError, MemoryLog, Snapshot, replay
from recloser.core.events import Event

MAIN: Final = "main"
"""The role of the first process of a round."""

ANSWER_SECONDS: Final = 1.0
SCHEDULING_SECONDS: Final = 3.0
"""Scheduling delay that a busy machine may add to the time in which a process must answer."""

HUNG_STATUS: Final = 70
"""Exit status of a process that hangs; it does not wait for its children."""

_SETTLING_SECONDS: Final = 2.0
_DATES: Final = ("opened_at", "retry_at")
_KIND_OF: Final = {
    "call_succeeded": SUCCEEDED,
    "call_failed": FAILED,
    "call_ignored": IGNORED,
    "call_rejected": REJECTED,
}


def measure_answers(load: Load) -> tuple[float, str]:
    """Ask every breaker and the log in a thread of its own.

    Returns:
        The longest time of an answer in seconds, and the question without an answer within the
        limit, or "" if there is none.
    """
    slowest = 0.0
    asked = "nothing"

    def ask() -> None:
        nonlocal slowest, asked
        for what, question in _questions(load):
            asked = what
            began = time.monotonic()
            question()
            slowest = max(slowest, time.monotonic() - began)
        asked = ""

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    until = time.monotonic() + ANSWER_SECONDS + SCHEDULING_SECONDS
    last, since = asked, time.monotonic()
    while thread.is_alive():
        thread.join(0.05)
        if asked != last:
            last, since = asked, time.monotonic()
            until = since + ANSWER_SECONDS + SCHEDULING_SECONDS
        if thread.is_alive() and time.monotonic() > until:
            return time.monotonic() - since, asked
    return slowest, asked


def _questions(load: Load) -> list[tuple[str, Callable[[], object]]]:
    questions: list[tuple[str, Callable[[], object]]] = []
    for name, breaker in load.made().items():
        questions.append((f"{name}.snapshot()", breaker.snapshot))
        questions.append((f"{name}.call()", partial(load.attempt, name, "call", SUCCEEDED)))
        questions.append((f"{name}.current_state()", breaker.current_state))
    if isinstance(load.log, EventLog):
        questions.append(("log.health()", load.log.health))
    return questions


def counts_of(events: list[Event]) -> dict[str, dict[str, int]]:
    """Count the outcomes in events, by breaker and kind."""
    counts: dict[str, Counter[str]] = {}
    for event in events:
        kind = _KIND_OF.get(event.kind)
        if kind is not None:
            name = event.breaker  # type: ignore[union-attr]  # each of those kinds has one
            counts.setdefault(name, Counter())[kind] += getattr(event, "count", 1)
    return {name: dict(counter) for name, counter in counts.items()}


def recorded_here(load: Load) -> dict[str, dict[str, int]] | None:
    """Count the outcomes that this process has recorded in memory; None for a log in files."""
    if isinstance(load.log, EventLog):
        return None
    if isinstance(load.log, MemoryLog):
        return counts_of(list(load.log))
    return {name: attrs.asdict(made.snapshot().totals) for name, made in load.made().items()}


def totals_of(load: Load) -> dict[str, int]:
    """Return the number of outcomes that each breaker has counted, of all kinds."""
    return {
        name: sum(attrs.astuple(breaker.snapshot().totals)) for name, breaker in load.made().items()
    }


def _own_totals(load: Load) -> dict[str, int] | None:
    """Return the number of outcomes that each breaker has counted in this process, if known."""
    if load.first_totals is None:
        return None
    first = load.first_totals
    return {name: total - first.get(name, 0) for name, total in totals_of(load).items()}


def plain(snapshot: Snapshot) -> dict[str, Any]:
    """Convert a snapshot to JSON values, without fields that depend on the reader."""
    fields = attrs.asdict(snapshot)
    for name in ("retry_after", "degraded"):
        del fields[name]
    values: dict[str, Any] = json.loads(json.dumps(fields, default=str))
    return values


def _are_close(one: object, other: object) -> bool:
    """Return whether two times are equal except for the wall-clock reading they are based on.

    Each tick and each segment reads the wall clock again, possibly between two snapshots of a
    breaker. The readings differ by microseconds.
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
    return abs(apart) < timedelta(milliseconds=1)


def differences(
    folded: Mapping[str, Mapping[str, Any]],
    live: Mapping[str, Mapping[str, Any]],
    *,
    has_lost: bool = False,
) -> Iterator[str]:
    """Describe how the states that a log folds to differ from the live ones.

    Args:
        folded: The states that the log folds to.
        live: The states that the process had.
        has_lost: Whether events are missing in the log; they may include the last reading of the
            wall clock, on which times are based.
    """
    for name, state in live.items():
        there = folded.get(name, {})
        parts = {
            field: (there.get(field), value)
            for field, value in state.items()
            if there.get(field) != value
            and not (field in _DATES and (has_lost or _are_close(there.get(field), value)))
        }
        if parts:
            yield f"{name}, in the log and live: {parts}"


def settled(load: Load) -> dict[str, dict[str, Any]] | None:
    """Wait until the log has all events of the breakers, and return their states.

    Returns:
        The snapshots by breaker; None if they kept changing.
    """
    until = time.monotonic() + _SETTLING_SECONDS
    while True:
        before = {name: plain(breaker.snapshot()) for name, breaker in load.made().items()}
        if load.log is not None:
            load.log.flush()
        after = {name: plain(breaker.snapshot()) for name, breaker in load.made().items()}
        is_written = not isinstance(load.log, EventLog) or load.is_closing or _is_written(load.log)
        if before == after and is_written:
            return after
        if time.monotonic() > until:
            return None
        time.sleep(0.02)


def _is_written(log: EventLog) -> bool:
    health = log.health()
    # Segments that could not be compressed lose nothing.
    is_written = health.failure is None or health.failure.startswith("full segments stay")
    return not health.waiting and is_written


def finish(
    load: Load, role: str, folder: Path, is_silent: Callable[[], bool], *, closes: bool
) -> None:
    """Check what can be checked in the process, and write its report.

    Args:
        load: The finished load.
        role: The role of the process in the round.
        folder: The folder for the report.
        is_silent: Returns whether the log was closed without any warning or count.
        closes: Whether the log is to be closed first.
    """
    gc.collect()
    slowest, unanswered = measure_answers(load)
    if unanswered:
        load.note("hang", f"{unanswered} is not answered after {slowest:.1f} s")
        _write_report(load, role, folder, slowest=slowest, live=None)
        return
    live = settled(load)
    recorded = recorded_here(load)
    if isinstance(load.log, MemoryLog):
        _check_memory(load, load.log, live)
    if is_silent():
        load.note("silent", f"{len(load.unrecorded)} calls ended after the log was closed")
    if isinstance(load.log, EventLog):
        if live is None and not load.is_closing:
            load.note("unwritten", f"the log is not written after 2 s: {load.log.health()}")
        if closes:
            load.log.close()
            live = {name: plain(breaker.snapshot()) for name, breaker in load.made().items()}
    _write_report(load, role, folder, slowest=slowest, live=live, recorded=recorded)


def _check_memory(load: Load, log: MemoryLog, live: Mapping[str, Any] | None) -> None:
    try:
        history = replay(list(log))
    except LogError as error:
        load.note("unreadable", f"the log in memory: {error}")
        return
    except Exception as error:  # noqa: BLE001  # a broken log may raise anything
        load.note("unreadable", f"the log in memory: {error!r}")
        return
    if history.differences:
        load.note("drift", f"the log in memory: {history.differences[0]}")
    folded = {name: plain(snapshot) for name, snapshot in history.snapshots.items()}
    for what in differences(folded, live or {}):
        load.note("drift", f"the log in memory: {what}")


def path_of(path: Path, role: str) -> str:
    """Return the folder of this process's own log; a path without a log if it has none.

    Args:
        path: The folder of the log object. In a child, this is the parent's folder until the child
            has its own, which it may have early, because a signal handler may make the first call.
        role: The role of the process in the round.
    """
    pid = os.getpid()
    is_own = role == MAIN or re.fullmatch(rf".*-{pid}(-\d+)?", path.name) is not None
    return str(path) if is_own else f"{path}, none of {pid}"


def _write_report(
    load: Load,
    role: str,
    folder: Path,
    *,
    slowest: float,
    live: dict[str, dict[str, Any]] | None,
    recorded: dict[str, dict[str, int]] | None = None,
) -> None:
    is_hung = any(family == "hang" for family, _ in load.violations)
    health = load.log.health() if isinstance(load.log, EventLog) and not is_hung else None
    report = {
        "role": role,
        "pid": os.getpid(),
        "ended_at": time.monotonic(),
        "path": path_of(load.log.path, role) if isinstance(load.log, EventLog) else None,
        "books": {name: book.report() for name, book in load.books.items()},
        "live": live,
        "recorded": recorded,
        "totals": None if is_hung else _own_totals(load),
        "in_flight": load.in_flight,
        "slowest": slowest,
        "health": None if health is None else attrs.asdict(health),
        "closed_early": load.is_closing,
        "violations": load.violations,
        "permit_errors": load.permit_errors,
        "raised": len(load.raised),
        "acted": len(load.acted),
    }
    draft = folder / f"draft-{os.getpid()}"
    draft.write_text(json.dumps(report))
    draft.rename(folder / f"report-{os.getpid()}.json")
