"""Subjects that take turns, and the clock that they are held to."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from bench.effort import Effort
from bench.partner import Service, Timed, Turn
from bench.results import Series

Loop: TypeAlias = Callable[[int], None]
"""Makes a call so many times."""

WARM: Final = 20
"""Calls before a turn, and the whole turn where it is to be as short as can be."""


@frozen
class Subject:
    """What takes its turn in each round.

    Attributes:
        name: What it is called.
        begin: Makes it ready for one turn and clears up behind it; none of that is timed.
        size: How many times as long its turns are: where a thread works in its stead every
            50 ms, a turn must hold some of those.
        counted: Counters of its calls by name, each returning the number so far: of calls that
            its log has lost, or that were rejected.
    """

    name: str
    begin: Callable[[], AbstractContextManager[Loop]]
    size: int = 1
    counted: Mapping[str, Callable[[], int]] = field(factory=dict)

    def turn(self, count: int) -> Turn:
        """Time ``count`` calls, after some that are not timed."""
        before = {name: so_far() for name, so_far in self.counted.items()}
        with self.begin() as loop:
            loop(WARM)
            gc.collect()
            cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
            loop(count)
            wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
        counts = {name: so_far() - before[name] for name, so_far in self.counted.items()}
        return Turn(wall, cpu, counts)


@frozen
class Work:
    """What is worked through in one turn.

    Attributes:
        name: What it is called.
        size: How many there are to work through.
        seconds: Works through all of them, and tells how long that took.
    """

    name: str
    size: int
    seconds: Callable[[], float]

    def turn(self, _count: int) -> Turn:
        """Time all of it."""
        return Turn(self.seconds(), 0, {})


def interleave(
    subjects: Sequence[Subject], effort: Effort, count: int | None = None
) -> tuple[Series, ...]:
    """Nanoseconds a call of each subject, one turn a round; then of the partner's.

    Args:
        subjects: Who takes turns; each round begins with the next of them.
        effort: How many rounds, and how long a turn lasts.
        count: How many calls a turn has; by default as many as last as long as ``effort`` says.
    """
    gc.collect()
    gc.freeze()  # what is there already is nobody's garbage, and costs no subject anything
    with _all(subjects, effort) as everyone:
        counts = [_count(one, effort) if count is None else count for one in everyone]
        turns = _rounds([partial(o.turn, n) for o, n in zip(everyone, counts, strict=True)], effort)
    gc.unfreeze()
    return tuple(
        Series(
            subject.name,
            tuple(turn.wall / made for turn in taken),
            tuple(turn.cpu / made for turn in taken),
            _shares(taken, made),
        )
        for subject, taken, made in zip(everyone, turns, counts, strict=True)
    )


def interleaved_rates(works: Sequence[Work], effort: Effort) -> tuple[Series, ...]:
    """How many a second each gets through, one turn a round; then each of the partner's."""
    with _all(works, effort) as everyone:
        turns = _rounds(
            [partial(one.turn, 0) for one in everyone], evolve(effort, rounds=effort.long_rounds)
        )
    return tuple(
        Series(work.name, tuple(work.size / turn.wall for turn in taken))
        for work, taken in zip(everyone, turns, strict=True)
    )


@contextmanager
def _all(own: Sequence[Timed], effort: Effort) -> Iterator[Sequence[Timed]]:
    """Everyone who takes turns: this process's subjects, and those that a partner offers.

    In the partner itself, all turns are over when this is left: they are timed by the other side.
    """
    if isinstance(effort.partner, Service):
        effort.partner.serve(own)
        yield [_TimedElsewhere(one.name) for one in own]
    elif effort.partner is not None:
        yield [*own, *effort.partner.offers()]
        effort.partner.dismiss()
    else:
        yield own


@frozen
class _TimedElsewhere:
    name: str
    size: int = 1

    def turn(self, _count: int) -> Turn:
        return Turn(1e9, 1e9, {})


def _rounds(turns: Sequence[Callable[[], Turn]], effort: Effort) -> list[list[Turn]]:
    """What each found in its turns; each round begins with the next of them."""
    found: list[list[Turn]] = [[] for _ in turns]
    for number in range(effort.rounds):
        for place in range(len(turns)):
            index = (number + place) % len(turns)
            found[index].append(turns[index]())
    return found


def _shares(turns: Sequence[Turn], count: int) -> dict[str, float]:
    """Of the calls of all turns, the shares that were counted, where there were any."""
    totals = {name: sum(turn.counts[name] for turn in turns) for name in turns[0].counts}
    return {f"share_{name}": n / count / len(turns) for name, n in totals.items() if n}


def _count(subject: Timed, effort: Effort) -> int:
    """How many calls make a turn of the length that is wanted."""
    count = WARM
    wanted = effort.round_seconds * subject.size * 1e9
    while wanted:
        wall = subject.turn(count).wall
        if wall > wanted / 4:
            return max(1, int(count * wanted / wall))
        count *= 4
    return count


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
