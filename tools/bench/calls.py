"""The cost of one protected call: closed, rejected and failing; synchronous and asynchronous."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import repeat
from typing import Final, TypeAlias

from attrs import frozen

from bench import floors
from bench.adapters import (
    FEW,
    NEVER,
    Adapter,
    AsyncCall,
    Broken,
    Call,
    Maker,
    Unsupported,
    broken,
    broken_awaited,
    nothing,
    nothing_awaited,
)
from bench.effort import Effort
from bench.results import Group
from bench.timing import Loop, Subject, interleave

BARE: Final = "bare call"
FLOOR: Final = "floor"
NS: Final = "ns a call"
COROUTINES_ONLY: Final = "it protects coroutine functions only"

_TRIPS: Final = 4 * FEW
"""Failures after which every breaker that can open is open."""

Begun: TypeAlias = Callable[[], AbstractContextManager[Loop]]


@frozen
class CallPath:
    """One kind of call that is measured.

    Attributes:
        key: The short name of its group.
        title: The title of its group.
        failures: How many consecutive failures open the breaker.
        function: The function that is protected.
        awaited: The coroutine function that is protected.
        opens: Whether the breaker is opened before its turn.
        raises: Whether each call raises.
    """

    key: str
    title: str
    failures: int
    function: Call
    awaited: AsyncCall
    opens: bool = False
    raises: bool = False


PATHS: Final = (
    CallPath("closed", "Closed path", FEW, nothing, nothing_awaited),
    CallPath("refused", "Refused path", FEW, broken, broken_awaited, opens=True, raises=True),
    CallPath("failing", "Failing path", NEVER, broken, broken_awaited, raises=True),
)


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Measure every call path with functions, then with coroutine functions."""
    for path in PATHS:
        floor = floors.refusing if path.opens else floors.recording
        subjects = [
            Subject(BARE, partial(_bare, path, lambda function: function)),
            Subject(FLOOR, partial(_bare, path, floor)),
        ]
        missing = {}
        for adapter in adapters:
            if adapter.sync is None:
                missing[adapter.name] = COROUTINES_ONLY
            elif (why := _refusal_of(adapter.sync, path)) is not None:
                missing[adapter.name] = why
            else:
                begin = partial(_protected, path, adapter.sync)
                subjects.append(Subject(adapter.name, begin, adapter.stretch, adapter.counted))
        series = interleave(subjects, effort)
        yield Group(path.key, path.title, NS, FLOOR, series, missing)
    with asyncio.Runner() as runner:
        for path in PATHS:
            yield _awaited(path, effort, adapters, runner)


def _awaited(
    path: CallPath, effort: Effort, adapters: Sequence[Adapter], runner: asyncio.Runner
) -> Group:
    floor = floors.refusing_awaited if path.opens else floors.recording_awaited
    subjects = [
        Subject(BARE, partial(_bare_awaited, path, runner, lambda function: function)),
        Subject(FLOOR, partial(_bare_awaited, path, runner, floor)),
    ]
    missing = {}
    for adapter in adapters:
        if adapter.asynchronous is None:
            missing[adapter.name] = "it protects no coroutine function of asyncio"
        elif (why := _refusal_of(adapter.asynchronous, path)) is not None:
            missing[adapter.name] = why
        else:
            begin = partial(_protected_awaited, path, runner, adapter.asynchronous)
            subjects.append(Subject(adapter.name, begin, adapter.stretch, adapter.counted))
    series = interleave(subjects, effort)
    return Group(f"async-{path.key}", f"{path.title}, async", NS, FLOOR, series, missing)


def _refusal_of(make: Maker[Call] | Maker[AsyncCall], path: CallPath) -> str | None:
    """The reason why a library does not support a call path; None if it does."""
    try:
        make(path.failures).close()
    except Unsupported as error:
        return str(error)
    return None


@contextmanager
def _bare(path: CallPath, wrap: Callable[[Call], Call]) -> Iterator[Loop]:
    call = wrap(path.function)
    yield raising(call, Broken) if path.raises else passing(call)


@contextmanager
def _protected(path: CallPath, make: Maker[Call]) -> Iterator[Loop]:
    protection = make(path.failures)
    call = protection.protect(path.function)
    error = protection.refused if path.opens else Broken
    try:
        if path.opens:
            raising(call, Exception)(_TRIPS)
        yield raising(call, error) if path.raises else passing(call)
    finally:
        protection.close()


@contextmanager
def _bare_awaited(
    path: CallPath, runner: asyncio.Runner, wrap: Callable[[AsyncCall], AsyncCall]
) -> Iterator[Loop]:
    call = wrap(path.awaited)
    yield _in(runner, call, Broken if path.raises else None)


@contextmanager
def _protected_awaited(
    path: CallPath, runner: asyncio.Runner, make: Maker[AsyncCall]
) -> Iterator[Loop]:
    protection = make(path.failures)
    call = protection.protect(path.awaited)
    error = protection.refused if path.opens else Broken
    try:
        if path.opens:
            _in(runner, call, Exception)(_TRIPS)
        yield _in(runner, call, error if path.raises else None)
    finally:
        protection.close()


def passing(call: Call) -> Loop:
    """A loop that makes a call that returns, ``count`` times."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            call()

    return loop


def raising(call: Call, error: type[BaseException]) -> Loop:
    """A loop that makes a call that raises, ``count`` times."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            try:  # noqa: SIM105  # a context manager would cost time of its own
                call()
            except error:
                pass

    return loop


def _in(runner: asyncio.Runner, call: AsyncCall, error: type[BaseException] | None) -> Loop:
    """A loop that awaits a call in one task, ``count`` times."""

    async def passing_awaited(count: int) -> None:
        for _ in repeat(None, count):
            await call()

    async def raising_awaited(count: int, error: type[BaseException]) -> None:
        for _ in repeat(None, count):
            try:  # noqa: SIM105  # a context manager would cost time of its own
                await call()
            except error:
                pass

    if error is None:
        return lambda count: runner.run(passing_awaited(count))
    return lambda count: runner.run(raising_awaited(count, error))
