"""Subjects that take turns, and the clock that they are held to."""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

from attrs import frozen

from bench.effort import Effort
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
        stretch: How many times as long its turns are: where a thread works in its stead every
            50 ms, a turn must hold some of those.
        lost: Tells how many calls its log has lost so far, for who keeps one.
    """

    name: str
    begin: Callable[[], AbstractContextManager[Loop]]
    stretch: int = 1
    lost: Callable[[], int] = lambda: 0


@frozen
class Work:
    """What is worked through in one turn.

    Attributes:
        name: What it is called.
        count: How many there are to work through.
        seconds: Works through all of them, and tells how long that took.
    """

    name: str
    count: int
    seconds: Callable[[], float]


def interleave(
    subjects: Sequence[Subject], effort: Effort, count: int | None = None
) -> tuple[Series, ...]:
    """Nanoseconds a call of each subject, one turn a round.

    Args:
        subjects: Who takes turns; each round begins with the next of them.
        effort: How many rounds, and how long a turn lasts.
        count: How many calls a turn has; by default as many as last as long as ``effort`` says.
    """
    gc.collect()
    gc.freeze()  # what is there already is nobody's garbage, and costs no subject anything
    counts = [_count(subject, effort) if count is None else count for subject in subjects]
    walls: list[list[float]] = [[] for _ in subjects]
    cpus: list[list[float]] = [[] for _ in subjects]
    lost = [0 for _ in subjects]
    for turn in range(effort.rounds):
        for place in range(len(subjects)):
            index = (turn + place) % len(subjects)
            before = subjects[index].lost()
            wall, cpu = _timed(subjects[index], counts[index])
            lost[index] += subjects[index].lost() - before
            walls[index].append(wall / counts[index])
            cpus[index].append(cpu / counts[index])
    gc.unfreeze()
    return tuple(
        Series(
            subject.name,
            tuple(wall),
            tuple(cpu),
            {"share_lost": missed / made / effort.rounds} if missed else {},
        )
        for subject, wall, cpu, missed, made in zip(
            subjects, walls, cpus, lost, counts, strict=True
        )
    )


def _count(subject: Subject, effort: Effort) -> int:
    """How many calls make a turn of the length that is wanted."""
    count = WARM
    wanted = effort.round_seconds * subject.stretch * 1e9
    while wanted:
        wall, _ = _timed(subject, count)
        if wall > wanted / 4:
            return max(1, int(count * wanted / wall))
        count *= 4
    return count


def _timed(subject: Subject, count: int) -> tuple[int, int]:
    """Nanoseconds of wall time and of the thread's processor time that so many calls take."""
    with subject.begin() as loop:
        loop(WARM)
        gc.collect()
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        loop(count)
        return time.perf_counter_ns() - wall, time.thread_time_ns() - cpu


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved_rates(works: Sequence[Work], rounds: int) -> tuple[Series, ...]:
    """How many a second each gets through, one turn a round."""
    rates: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        for place in range(len(works)):
            index = (turn + place) % len(works)
            rates[index].append(works[index].count / works[index].seconds())
    return tuple(Series(work.name, tuple(of)) for work, of in zip(works, rates, strict=True))
