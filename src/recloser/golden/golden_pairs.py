"""Golden files and their traces: which there are, whether they agree, and writing them anew."""

import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.errors import GoldenError
from recloser.golden.golden_file import GOLDEN_SUFFIX, read_golden, write_golden
from recloser.history.difference import Comparison, compare
from recloser.history.engine import is_traffic, replay
from recloser.history.history import History
from recloser.history.summary import HistorySummary, summarize
from recloser.log.listing import (
    COMPRESSED_SUFFIX,
    SEGMENT_SUFFIX,
    entries,
    errors_of,
    files_below,
    is_file,
    is_folder,
    is_there,
    other_files,
    segments_in,
)
from recloser.log.reader import LogReader

_TRACE_SUFFIXES: Final = ("", SEGMENT_SUFFIX, SEGMENT_SUFFIX + COMPRESSED_SUFFIX)


class Verdict(Enum):
    """What was found out about a golden file, or done with it."""

    SAME = "same"
    DIFFERENT = "different"
    NEW = "new"
    CHANGED = "changed"


@frozen
class GoldenPair:
    """A trace and its golden file, of which one may not be there."""

    trace: Path
    golden: Path


@frozen
class Checked:
    """A golden file held against its trace.

    Attributes:
        golden: The file.
        verdict: SAME or DIFFERENT when it was checked; SAME, NEW or CHANGED when it was updated.
        comparison: How what it tells differs from the history; None where there was no file.
        history: The history of the trace.
    """

    golden: Path
    verdict: Verdict
    comparison: Comparison | None
    history: History


def golden_path(trace: Path) -> Path:
    """Where the golden file of a trace stands: beside it."""
    if trace.name in ("", ".."):
        trace = trace.resolve()
    name = trace.name
    for suffix in (COMPRESSED_SUFFIX, SEGMENT_SUFFIX):
        name = name.removesuffix(suffix)
    return trace.with_name(name + GOLDEN_SUFFIX)


def trace_path(golden: Path) -> Path:
    """The trace beside a golden file.

    Raises:
        GoldenError: There is none, or more than one that it could belong to.
    """
    name = golden.name.removesuffix(GOLDEN_SUFFIX)
    with errors_of(golden):
        beside = [golden.with_name(name + suffix) for suffix in _TRACE_SUFFIXES]
        traces = [path for path in beside if _is_trace(path)]
    if not traces:
        raise GoldenError(
            f"{golden}: its trace is gone: there is no {name}/ or {name}{SEGMENT_SUFFIX} beside it; "
            "put it back, or delete the golden file"
        )
    if len(traces) > 1:
        raise GoldenError(
            f"{golden}: it could belong to {traces[0].name} or {traces[1].name} beside it; rename one"
        )
    return traces[0]


def find_pairs(path: Path) -> list[GoldenPair]:
    """The traces and golden files that a path stands for, sorted.

    Args:
        path: A trace, a golden file, or a folder with several of them, at any depth. A folder whose
            segments are named as a log names them is a trace.

    Raises:
        GoldenError: There are none.
        LogError: A folder can't be listed.
    """
    with errors_of(path):
        return _pairs_of(path)


def _pairs_of(path: Path) -> list[GoldenPair]:
    if path.name.endswith(GOLDEN_SUFFIX):
        return [GoldenPair(trace_path(path), path)]
    if not is_there(path):
        raise GoldenError(f"{path}: there is no such file or folder")
    if _is_trace(path):
        return [GoldenPair(path, golden_path(path))]
    pairs = {golden_path(trace): trace for trace in _traces_in(path)}
    for golden in files_below(path):
        if not golden.name.endswith(GOLDEN_SUFFIX):
            continue
        pairs.setdefault(golden, golden.with_name(golden.name.removesuffix(GOLDEN_SUFFIX)))
    if not pairs:
        raise GoldenError(f"{path}: there is no trace and no golden file in this folder")
    return [GoldenPair(pairs[golden], golden) for golden in sorted(pairs)]


def check(pair: GoldenPair, config: Settings | None = None) -> Checked:
    """Compare a golden file with the history of its trace, and write nothing.

    Args:
        pair: The trace and its golden file.
        config: What to drive imported traffic with; by default what the file tells.

    Raises:
        GoldenError: The file or its trace is not there, or the file is broken.
        RecloserError: The trace can't be replayed.
    """
    if not _is_golden_there(pair):
        raise GoldenError(
            f"{pair.golden}: there is no golden file of {pair.trace}; write it with "
            f"`recloser golden update {pair.trace}`"
        )
    trace = trace_path(pair.golden)
    golden = read_golden(pair.golden)
    history, now = _replayed(trace, config_in(golden) if config is None else as_config(config))
    comparison = compare_with(golden, now, history)
    return Checked(pair.golden, _verdict(comparison, history), comparison, history)


def update(pair: GoldenPair, config: Settings | None = None) -> Checked:
    """Write the golden file of a trace, if it is not there or differs.

    Args:
        pair: The trace and its golden file.
        config: What to drive imported traffic with; by default what the file tells already, and
            else ``CircuitBreakerConfig()``.

    Raises:
        GoldenError: The file is broken or the trace is not there, or the history is not the one
            that the log witnessed. Nothing is written then.
        RecloserError: The trace can't be replayed.
    """
    trace = trace_path(pair.golden)
    golden = read_golden(pair.golden) if _is_golden_there(pair) else None
    driven_with = None if config is None else as_config(config)
    if driven_with is None and golden is not None:
        driven_with = config_in(golden)
    history, now = _replayed(trace, driven_with)
    if history.differences:
        first = history.differences[0]
        raise GoldenError(
            f"{trace}: its history parts at seq {first.seq} from what was witnessed live, so it is no "
            f"model: see `recloser replay {trace}`"
        )
    comparison = None if golden is None else compare_with(golden, now, history)
    if comparison is not None and not comparison:
        return Checked(pair.golden, Verdict.SAME, comparison, history)
    write_golden(pair.golden, now)
    verdict = Verdict.NEW if golden is None else Verdict.CHANGED
    return Checked(pair.golden, verdict, comparison, history)


def refuse_in_ci(asked: str) -> None:
    """Check that this is no run of a CI server, where nobody reads what a golden file becomes.

    Raises:
        GoldenError: It is one; the message names what was ``asked``.
    """
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        raise GoldenError(
            f"{asked}: the environment says that this is CI, where no golden file is rewritten; do it "
            "where its changes are read, or with CI= before the command"
        )


def compare_with(golden: HistorySummary, now: HistorySummary, history: History) -> Comparison:
    """Compare what a golden file tells of a trace with the trace's history now."""
    return compare(golden, now, same_log=True, new_events=history.events)


def _verdict(comparison: Comparison, history: History) -> Verdict:
    return Verdict.DIFFERENT if comparison or history.differences else Verdict.SAME


def config_in(golden: HistorySummary) -> CircuitBreakerConfig | None:
    """What a golden file says that imported traffic was driven with."""
    if golden.driven_with is None:
        return None
    return CircuitBreakerConfig.from_mapping(golden.driven_with)


def _replayed(trace: Path, config: CircuitBreakerConfig | None) -> tuple[History, HistorySummary]:
    if config is None and is_traffic(LogReader(trace)):
        config = CircuitBreakerConfig()
    history = replay(trace, config=config)
    return history, summarize(history, config)


def _is_golden_there(pair: GoldenPair) -> bool:
    with errors_of(pair.golden):
        return is_there(pair.golden)


def _is_trace(path: Path) -> bool:
    return bool(segments_in(path)) if is_folder(path) else is_file(path)


def _traces_in(folder: Path) -> Iterator[Path]:
    yield from [*other_files(folder), *segments_in(folder)]
    for entry in entries(folder):
        path = folder / entry.name
        if is_folder(path):
            yield from (path,) if _is_trace(path) else _traces_in(path)
