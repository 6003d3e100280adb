"""Stretches of rows in which no edge fires, summed up for the fold."""

from typing import cast

import numpy as np

from recloser.columns.rows import FAILED, IGNORED, REJECTED, Places, Rows
from recloser.fold import Stretch
from recloser.state import BreakerState
from recloser.validation import NS_PER_SECOND
from recloser.windows import CountedOutcomes, TimedOutcomes


def stretch_of(rows: Rows, state: BreakerState, start: int, stop: int) -> Stretch:
    """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""
    first, last = np.searchsorted(rows.failures, (start, stop))
    failed = int(last - first)
    succeeded = rows.rank(stop) - rows.rank(start) - failed
    outside = rows.outside[slice(*np.searchsorted(rows.outside, (start, stop)))]
    kinds, counts = rows.kinds[outside], rows.counts[outside]
    run = _run_before(rows, int(first), int(last), stop)
    threshold = state.config.failure_threshold
    seqs = rows.seqs[rows.failures[last - run : last]].tolist() if threshold and run else ()
    return Stretch(
        succeeded=succeeded,
        failed=failed,
        ignored=int((kinds == IGNORED).sum()),
        rejected=int(counts[kinds == REJECTED].sum()),
        run=run,
        run_seqs=seqs,
        is_unbroken=succeeded == 0,
        codes=_codes(rows, state, start, stop) if isinstance(state.window, CountedOutcomes) else (),
        buckets=_buckets(rows, state, start, stop)
        if isinstance(state.window, TimedOutcomes)
        else (),
    )


def _run_before(rows: Rows, first: int, last: int, stop: int) -> int:
    """How many of the failures first..last-1 stand behind the last success before ``stop``."""
    # Looked at in blocks that double: a run is short, or else it would have tripped the breaker.
    size = 8
    ranks = rows.failure_ranks
    end = rows.rank(stop)
    while True:
        from_ = max(first, last - size)
        behind = ranks[from_:last]
        broken = np.flatnonzero(behind != end - np.arange(len(behind), 0, -1))
        if len(broken):
            return last - from_ - int(broken[-1]) - 1
        if from_ == first:
            return last - first
        size *= 4


def _codes(rows: Rows, state: BreakerState, start: int, stop: int) -> list[int]:
    assert isinstance(state.window, CountedOutcomes)
    size = state.window.size
    begin = max(start, rows.row_of(max(0, rows.rank(stop) - size)))
    kinds = rows.kinds[begin:stop]
    codes = rows.seqs[begin:stop] << 2 | (kinds == FAILED).astype(np.int64) << 1
    limit = state.config.slow_call_ns
    if limit is not None:
        codes |= rows.tooks[begin:stop] > limit
    counted = kinds <= FAILED
    many = np.minimum(rows.counts[begin:stop][counted], size)
    return cast("list[int]", np.repeat(codes[counted], many)[-size:].tolist())


def _buckets(rows: Rows, state: BreakerState, start: int, stop: int) -> list[list[int]]:
    assert isinstance(state.window, TimedOutcomes)
    end = rows.rank(stop)
    if end == rows.rank(start):
        return []
    newest = int(rows.ats[rows.row_of(end - 1)]) // NS_PER_SECOND
    oldest = (newest - state.window.seconds + 1) * NS_PER_SECOND
    begin = rows.first_at(oldest, start)
    seconds, starts = rows.seconds
    numbers = slice(
        int(np.searchsorted(starts, begin, "right")) - 1, int(np.searchsorted(starts, stop))
    )
    bounds = np.append(starts[numbers], stop)
    bounds[0] = begin
    calls = rows.ranks(bounds)
    failures = np.searchsorted(rows.failures, bounds)
    limit = state.config.slow_call_ns
    slow = np.zeros_like(bounds) if limit is None else _slow_before(rows, bounds, limit)
    return [
        [
            second,
            int(rows.seqs[rows.row_of(before)]),
            int(rows.seqs[rows.row_of(until - 1)]),
            until - before,
            failed,
            slowed,
        ]
        for second, before, until, failed, slowed in zip(
            seconds[numbers].tolist(),
            calls[:-1].tolist(),
            calls[1:].tolist(),
            np.diff(failures).tolist(),
            np.diff(slow).tolist(),
            strict=True,
        )
        if until > before
    ]


def _slow_before(rows: Rows, bounds: Places, limit: int) -> Places:
    """How many slow outcomes stand before each bound, from the first bound on."""
    part = slice(int(bounds[0]), int(bounds[-1]))
    is_slow = (rows.tooks[part] > limit) & (rows.kinds[part] <= FAILED)
    weighted = np.where(is_slow, rows.counts[part], 0)
    before: Places = np.concatenate(([0], np.cumsum(weighted)))
    counted: Places = before[bounds - bounds[0]]
    return counted
