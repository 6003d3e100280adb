"""Subjects that take turns, and how a turn is timed."""

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
"""Makes a call the given number of times."""

WARM: Final = 20
"""Untimed calls before each turn; also the length of the shortest possible turn."""


@frozen
class Subject:
    """A subject whose calls are timed, one turn per round.

    Attributes:
        name: The name of its series.
        begin: Prepares one turn and cleans up after it; neither is timed.
        size: The factor by which its turns are longer. A turn must be long enough to include the
            work of a background thread that wakes up every 50 ms.
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
    """A piece of work that is timed as a whole in each turn.

    Attributes:
        name: The name of its series.
        size: The number of items in it.
        seconds: Does the work, and returns how many seconds that took.
    """

    name: str
    size: int
    seconds: Callable[[], float]

    def turn(self, _count: int) -> Turn:
        """Do the work once, and return the time."""
        return Turn(self.seconds(), 0, {})


def interleave(
    subjects: Sequence[Subject], effort: Effort, count: int | None = None
) -> tuple[Series, ...]:
    """Measure the nanoseconds per call of each subject and of those of the partner, in alternation.

    Args:
        subjects: The subjects; each round begins with another one.
        effort: The number of rounds, and the length of a turn.
        count: The number of calls per turn; by default, as many as take the time in ``effort``.
    """
    gc.collect()
    gc.freeze()  # objects made so far are not collected during a turn
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
    """Measure the items per second of each piece of work and of those of the partner, in alternation."""
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
    """Run all turns; each round begins with another subject. Returns the turns of each subject."""
    found: list[list[Turn]] = [[] for _ in turns]
    for number in range(effort.rounds):
        for place in range(len(turns)):
            index = (number + place) % len(turns)
            found[index].append(turns[index]())
    return found


def _shares(turns: Sequence[Turn], count: int) -> dict[str, float]:
    """The shares of the calls of all turns that the counters counted, without those that are 0."""
    totals = {name: sum(turn.counts[name] for turn in turns) for name in turns[0].counts}
    return {f"share_{name}": n / count / len(turns) for name, n in totals.items() if n}


def _count(subject: Timed, effort: Effort) -> int:
    """The number of calls that take as long as a turn should."""
    count = WARM
    wanted = effort.round_seconds * subject.size * 1e9
    while wanted:
        wall = subject.turn(count).wall
        if wall > wanted / 4:
            return max(1, int(count * wanted / wall))
        count *= 4
    return count


def timed(work: Callable[[], object]) -> float:
    """The seconds that a function takes."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
