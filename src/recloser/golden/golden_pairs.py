"""Find golden files and their traces, compare them, and update the files."""

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
    """The result of checking or updating a golden file."""

    SAME = "same"
    DIFFERENT = "different"
    NEW = "new"
    CHANGED = "changed"


@frozen
class GoldenPair:
    """A trace and its golden file; one of the two may not exist."""

    trace: Path
    golden: Path


@frozen
class GoldenCheck:
    """A golden file, compared with the history of its trace.

    Attributes:
        golden: The golden file.
        verdict: SAME or DIFFERENT after a check; SAME, NEW or CHANGED after an update.
        comparison: How the file differs from the history; None if there was no file.
        history: The history of the trace.
    """

    golden: Path
    verdict: Verdict
    comparison: Comparison | None
    history: History


def golden_path(trace: Path) -> Path:
    """The path of a trace's golden file, in the same folder as the trace."""
    if trace.name in ("", ".."):
        trace = trace.resolve()
    name = trace.name
    for suffix in (COMPRESSED_SUFFIX, SEGMENT_SUFFIX):
        name = name.removesuffix(suffix)
    return trace.with_name(name + GOLDEN_SUFFIX)


def trace_path(golden: Path) -> Path:
    """The path of the trace that a golden file belongs to.

    Raises:
        GoldenError: There is no such trace, or more than one.
    """
    name = golden.name.removesuffix(GOLDEN_SUFFIX)
    with errors_of(golden):
        candidates = [golden.with_name(name + suffix) for suffix in _TRACE_SUFFIXES]
        traces = [path for path in candidates if _is_trace(path)]
    if not traces:
        raise GoldenError(
            f"{golden}: its trace is gone: there is no {name}/ or {name}{SEGMENT_SUFFIX} beside it; "
            "restore the trace, or delete the golden file"
        )
    if len(traces) > 1:
        raise GoldenError(
            f"{golden}: it could belong to {traces[0].name} or {traces[1].name} beside it; rename one"
        )
    return traces[0]


def find_pairs(path: Path) -> list[GoldenPair]:
    """Find the traces and golden files at a path, sorted.

    Args:
        path: A trace, a golden file, or a folder that holds some at any depth. A folder of log
            segments is a trace.

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


def check(pair: GoldenPair, config: Settings | None = None) -> GoldenCheck:
    """Compare a golden file with the history of its trace; nothing is written.

    Args:
        pair: The trace and its golden file.
        config: The settings of breakers that are driven with imported traffic; by default those in
            the golden file.

    Raises:
        GoldenError: The file or its trace does not exist, or the file is damaged.
        RecloserError: The trace can't be replayed.
    """
    if not _is_golden_there(pair):
        raise GoldenError(
            f"{pair.golden}: {pair.trace} has no golden file; write it with "
            f"`recloser golden update {pair.trace}`"
        )
    trace = trace_path(pair.golden)
    golden = read_golden(pair.golden)
    history, now = _replay(trace, config_in(golden) if config is None else as_config(config))
    comparison = compare_with(golden, now, history)
    return GoldenCheck(pair.golden, _verdict(comparison, history), comparison, history)


def update(pair: GoldenPair, config: Settings | None = None) -> GoldenCheck:
    """Write the golden file of a trace, if it is missing or differs.

    Args:
        pair: The trace and its golden file.
        config: The settings of breakers that are driven with imported traffic; by default those in
            the golden file, or ``CircuitBreakerConfig()`` if there is no file.

    Raises:
        GoldenError: The file is damaged, the trace does not exist, or the history differs from the
            witnesses in the log. Nothing is written then.
        RecloserError: The trace can't be replayed.
    """
    trace = trace_path(pair.golden)
    golden = read_golden(pair.golden) if _is_golden_there(pair) else None
    driven_with = None if config is None else as_config(config)
    if driven_with is None and golden is not None:
        driven_with = config_in(golden)
    history, now = _replay(trace, driven_with)
    if history.differences:
        first = history.differences[0]
        raise GoldenError(
            f"{trace}: its history differs at seq {first.seq} from what was recorded live, so no golden "
            f"file was written; see `recloser replay {trace}`"
        )
    comparison = None if golden is None else compare_with(golden, now, history)
    if comparison is not None and not comparison:
        return GoldenCheck(pair.golden, Verdict.SAME, comparison, history)
    write_golden(pair.golden, now)
    verdict = Verdict.NEW if golden is None else Verdict.CHANGED
    return GoldenCheck(pair.golden, verdict, comparison, history)


def refuse_in_ci(asked: str) -> None:
    """Raise an error on a CI server, where nobody would review a changed golden file.

    Args:
        asked: The command or option that would rewrite golden files, for the message.

    Raises:
        GoldenError: The environment variable ``CI`` is set to 1, true or yes.
    """
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        raise GoldenError(
            f"{asked}: the environment says that this is CI, where golden files are not rewritten; run "
            "it where changes are reviewed, or put CI= before the command"
        )


def compare_with(golden: HistorySummary, now: HistorySummary, history: History) -> Comparison:
    """Compare a golden file with the history that its trace has now."""
    return compare(golden, now, same_log=True, new_events=history.events)


def _verdict(comparison: Comparison, history: History) -> Verdict:
    return Verdict.DIFFERENT if comparison or history.differences else Verdict.SAME


def config_in(golden: HistorySummary) -> CircuitBreakerConfig | None:
    """The settings in a golden file, or None if live breakers wrote its trace."""
    if golden.driven_with is None:
        return None
    return CircuitBreakerConfig.from_mapping(golden.driven_with)


def _replay(trace: Path, config: CircuitBreakerConfig | None) -> tuple[History, HistorySummary]:
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
