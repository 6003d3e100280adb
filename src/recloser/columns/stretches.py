"""Stretches of rows in which no edge fires, summed up for the fold."""

from bisect import bisect_right
from typing import cast

import numpy as np

from recloser.columns.block import Block
from recloser.columns.rows import FAILED, IGNORED, REJECTED, SUCCEEDED, Places, Rows
from recloser.fold import Stretch
from recloser.state import BreakerState
from recloser.validation import NS_PER_SECOND
from recloser.windows import CountedOutcomes, TimedOutcomes


def stretch_of(rows: Rows, state: BreakerState, start: int, stop: int) -> Stretch:
    """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""
    first, last = rows.failures.searchsorted((start, stop)).tolist()
    failed, rank = last - first, rows.rank(stop)
    succeeded = rank - rows.rank(start) - failed
    ignored, rejected = _outside(rows, start, stop)
    # Those behind the last success have as many successes before them as the end has.
    run = last - max(first, int(rows.failure_gaps.searchsorted(rank - last)))
    threshold = state.config.failure_threshold
    seqs = rows.seqs[rows.failures[last - run : last]].tolist() if threshold and run else ()
    return Stretch(
        succeeded=succeeded,
        failed=failed,
        ignored=ignored,
        rejected=rejected,
        run=run,
        run_seqs=seqs,
        is_unbroken=succeeded == 0,
        codes=_codes(rows, state, start, stop) if isinstance(state.window, CountedOutcomes) else (),
        buckets=_buckets(rows, state, start, stop)
        if isinstance(state.window, TimedOutcomes)
        else (),
    )


def stretch_in(block: Block, state: BreakerState, start: int, stop: int) -> Stretch:
    """As ``stretch_of``, row by row, which is quicker where they are few."""
    letters, rows, config, window = block.letters, block.rows, state.config, state.window
    failed = letters.count(FAILED, start, stop)
    if rows.weights is None:
        succeeded = letters.count(SUCCEEDED, start, stop)
    else:
        succeeded = block.rank(stop) - block.rank(start) - failed
    run = [
        row
        for row in range(letters.rfind(SUCCEEDED, start, stop) + 1 or start, stop)
        if letters[row] == FAILED
    ]
    return Stretch(
        succeeded=succeeded,
        failed=failed,
        ignored=letters.count(IGNORED, start, stop),
        rejected=_rejected(block, start, stop),
        run=len(run),
        run_seqs=[rows.seqs.item(row) for row in run] if config.failure_threshold else (),
        is_unbroken=succeeded == 0,
        codes=_codes_in(block, state, start, stop) if isinstance(window, CountedOutcomes) else (),
        buckets=_buckets_in(block, state, start, stop) if isinstance(window, TimedOutcomes) else (),
    )


def refused_in(block: Block, start: int, stop: int) -> Stretch:
    """As ``refused_of``, row by row."""
    rejected = _rejected(block, start, stop)
    told = stop - start if block.is_single else sum(block.rows.counts[start:stop].tolist())
    return Stretch(rejected=rejected, stale=told - rejected)


def _rejected(block: Block, start: int, stop: int) -> int:
    rejected = block.letters.count(REJECTED, start, stop)
    if not rejected or block.is_single:
        return rejected
    counts = zip(block.letters[start:stop], block.rows.counts[start:stop].tolist(), strict=True)
    return sum([count for kind, count in counts if kind == REJECTED])


def _codes_in(block: Block, state: BreakerState, start: int, stop: int) -> list[int]:
    if block.rows.weights is not None:
        return _codes(block.rows, state, start, stop)
    return block.codes(state.config.slow_call_ns)[block.outcomes(start, stop)]


def _buckets_in(block: Block, state: BreakerState, start: int, stop: int) -> list[list[int]]:
    if block.rows.weights is not None:
        return _buckets(block.rows, state, start, stop)
    own = block.outcomes(start, stop)
    codes, seconds = block.codes(state.config.slow_call_ns)[own], block.counted_seconds[own]
    buckets, place = [], 0
    while place < len(codes):
        second = seconds[place]
        end = bisect_right(seconds, second, place)
        part = codes[place:end]
        failed, slow = sum([code >> 1 & 1 for code in part]), sum([code & 1 for code in part])
        buckets.append([second, part[0] >> 2, part[-1] >> 2, len(part), failed, slow])
        place = end
    return buckets


def refused_of(rows: Rows, start: int, stop: int) -> Stretch:
    """Rows of an open breaker, none of which fires an edge, summed up."""
    kinds, counts = rows.kinds[start:stop], rows.counts[start:stop]
    refused, ended = counts[kinds == REJECTED], counts[kinds < REJECTED]
    return Stretch(rejected=int(refused.sum()), stale=int(ended.sum()))


def _outside(rows: Rows, start: int, stop: int) -> tuple[int, int]:
    """How many calls of these rows were ignored, and how many rejected."""
    first, last = rows.outside.searchsorted((start, stop))
    if first == last:
        return 0, 0
    outside = rows.outside[first:last]
    kinds = rows.kinds[outside]
    return int((kinds == IGNORED).sum()), int(rows.counts[outside][kinds == REJECTED].sum())


def _codes(rows: Rows, state: BreakerState, start: int, stop: int) -> list[int]:
    assert isinstance(state.window, CountedOutcomes)
    size = state.window.size
    part = slice(max(start, rows.row_of(max(0, rows.rank(stop) - size))), stop)
    codes = rows.codes(part, state.config.slow_call_ns)
    if rows.weights is None:
        return cast("list[int]", codes.tolist())
    many = np.minimum(rows.counts[part][rows.kinds[part] <= FAILED], size)
    return cast("list[int]", np.repeat(codes, many)[-size:].tolist())


def _buckets(rows: Rows, state: BreakerState, start: int, stop: int) -> list[list[int]]:
    assert isinstance(state.window, TimedOutcomes)
    end = rows.rank(stop)
    if end == rows.rank(start):
        return []
    newest = int(rows.ats[rows.row_of(end - 1)]) // NS_PER_SECOND
    oldest = (newest - state.window.seconds + 1) * NS_PER_SECOND
    begin = rows.first_at(oldest, start, stop)
    seconds, starts = rows.seconds
    numbers = slice(int(starts.searchsorted(begin, "right")) - 1, int(starts.searchsorted(stop)))
    bounds = np.append(starts[numbers], stop)
    bounds[0] = begin
    calls = rows.ranks(bounds)
    failures = rows.failures.searchsorted(bounds)
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
