"""The calls per second of several threads together: empty calls, and calls that wait for 5 ms."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Final

from attrs import evolve

from bench import floors
from bench.adapters import FEW, Adapter, Call, Maker, Protection, nothing
from bench.calls import BARE, COROUTINES_ONLY, FLOOR
from bench.effort import Effort
from bench.results import Group, Series
from bench.timing import Loop, Subject, interleave

NUMBERS: Final = (1, 2, 8)
RATE: Final = "calls/s"
_MANY: Final = NUMBERS[-1]


def waits() -> None:
    """Wait for 5 ms, as a call of a dependency would."""
    time.sleep(0.005)


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Measure empty calls on the closed path by 1, 2 and 8 threads, then waiting calls by 8 threads."""
    ways = [_BARE, _FLOOR, *(adapter for adapter in adapters if adapter.sync is not None)]
    missing = {adapter.name: COROUTINES_ONLY for adapter in adapters if adapter.sync is None}
    subjects = [
        _subject(adapter, nothing, number, f"{adapter.name}{_by(number)}")
        for number in NUMBERS
        for adapter in ways
    ]
    rates = {series.name: _rates(series) for series in interleave(subjects, effort)}
    for number in NUMBERS:
        yield Group(
            f"threads-{number}",
            f"{number} thread{'s' * (number > 1)}, no work",
            RATE,
            FLOOR,
            tuple(
                evolve(
                    series,
                    name=name.replace(_by(number), ""),
                    figures={
                        **series.figures,
                        "of_one_thread": series.ratio_to(rates[name.replace(_by(number), _by(1))]),
                    },
                )
                for name, series in rates.items()
                if _by(number) in name
            ),
            missing,
        )
    waiting = [_subject(adapter, waits, _MANY, adapter.name) for adapter in ways]
    long = evolve(effort, rounds=effort.long_rounds)
    series = interleave(waiting, long, count=_MANY * effort.sleeping_calls)
    yield Group(
        "threads-waiting",
        f"{_MANY} threads, calls of 5 ms",
        RATE,
        BARE,
        tuple(map(_rates, series)),
        missing,
    )


_BARE: Final = Adapter(BARE, "", lambda _: Protection(None, lambda call: call, Exception), None)
_FLOOR: Final = Adapter(FLOOR, "", lambda _: Protection(None, floors.recording, Exception), None)


def _subject(adapter: Adapter, function: Call, number: int, name: str) -> Subject:
    assert adapter.sync is not None
    begin = partial(_begun, adapter.sync, function, number)
    return Subject(name, begin, adapter.stretch, adapter.counted)


def _by(number: int) -> str:
    return f" by {number}"


def _rates(series: Series) -> Series:
    return evolve(series, samples=tuple(1e9 / ns for ns in series.samples), cpu=())


@contextmanager
def _begun(make: Maker[Call], function: Call, number: int) -> Iterator[Loop]:
    protection = make(FEW)
    call = protection.protect(function)
    try:
        yield partial(_by_threads, call, number)
    finally:
        protection.close()


def _by_threads(call: Call, number: int, count: int) -> None:
    """Make ``count`` calls, an equal share in each of ``number`` threads at the same time."""
    share = max(1, count // number)

    def work() -> None:
        for _ in repeat(None, share):
            call()

    workers = [threading.Thread(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
