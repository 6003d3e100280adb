"""Checks before timing that each adapter really drives its library."""

import asyncio
from collections.abc import Sequence
from functools import wraps

from bench.adapters import (
    FEW,
    NEVER,
    Adapter,
    AsyncCall,
    Broken,
    Call,
    Maker,
    Protection,
    Unsupported,
)

_PATIENCE = 4 * FEW
_MANY = 200


class AdapterError(Exception):
    """An adapter does not work with the installed version of its library."""


def verify(adapters: Sequence[Adapter]) -> None:
    """Check that calls are admitted, that failures open the breaker, and that it rejects calls then.

    Raises:
        AdapterError: A check failed; the message names the library.
    """
    for adapter in adapters:
        if adapter.sync is not None:
            _verify(adapter.name, adapter.sync)
        if adapter.asynchronous is not None:
            with asyncio.Runner() as runner:
                _verify(f"{adapter.name}, asynchronous", _run_in(runner, adapter.asynchronous))


def _run_in(runner: asyncio.Runner, make: Maker[AsyncCall]) -> Maker[Call]:
    """A breaker for coroutine functions, used through synchronous functions."""

    def made(failures: int) -> Protection[Call]:
        protection = make(failures)

        def protect(function: Call) -> Call:
            @wraps(function)
            async def awaited() -> object:
                return function()

            protected = protection.protect(awaited)

            async def call() -> object:
                return await protected()

            return lambda: runner.run(call())

        return Protection(protection.breaker, protect, protection.refused, protection.close)

    return made


def _verify(name: str, make: Maker[Call]) -> None:
    protection = make(FEW)
    calls = 0

    def answers() -> object:
        nonlocal calls
        calls += 1
        return name

    def fails() -> object:
        nonlocal calls
        calls += 1
        raise Broken

    try:
        if protection.protect(answers)() != name or calls != 1:
            raise AdapterError(f"{name}: a call does not go through, once and with its result")
        calls = 0
        failing = protection.protect(fails)
        _trip(name, failing, protection.refused)
        reached = calls
        if not 1 < reached <= _PATIENCE:
            raise AdapterError(f"{name}: it opened after {reached} failures, not after several")
        if _raised(failing) is not protection.refused or calls != reached:
            raise AdapterError(f"{name}: once open, it does not refuse with its own error")
    finally:
        protection.close()
    _verify_that_it_can_stay_closed(name, make)


def _trip(name: str, failing: Call, refused: type[BaseException]) -> None:
    for _ in range(_PATIENCE):
        raised = _raised(failing)
        if raised is refused:
            return
        if raised is not Broken:
            raise AdapterError(f"{name}: of a call that failed it raised {raised}")
    raise AdapterError(f"{name}: {_PATIENCE} failures do not open it: they do not count")


def _verify_that_it_can_stay_closed(name: str, make: Maker[Call]) -> None:
    try:
        protection = make(NEVER)
    except Unsupported:
        return

    def fails() -> object:
        raise Broken

    try:
        failing = protection.protect(fails)
        if {_raised(failing) for _ in range(_MANY)} != {Broken}:
            raise AdapterError(f"{name}: it opened, though it should not")
    finally:
        protection.close()


def _raised(call: Call) -> type[BaseException] | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  # whatever it raises is what is asked
        return type(error)
    return None
