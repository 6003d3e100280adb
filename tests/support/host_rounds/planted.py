"""Faults that are planted in the process of a round, and that the judge must find."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from recloser import CircuitBreaker
from recloser.log.listing import files_below

FAMILIES: Final = {
    "hang": "hang",
    "child hang": "hang",
    "lost outcome": "unaccounted",
    "outcome recorded twice": "unaccounted",
    "other state": "drift",
    "error": "error",
    "dead thread": "thread",
    "crash": "crash",
    "damaged log": "unreadable",
    "missing log": "unaccounted",
}
"""Faults that can be planted, and the family in which each must be found."""

_EVERY: Final = 7


def plant(name: str, is_child: Callable[[], bool]) -> None:
    """Plant a fault in all breakers of this process."""
    if name in ("hang", "child hang"):
        _replace("snapshot", _waiting(lambda: name == "hang" or is_child()))
    elif name == "other state":
        _replace("snapshot", _differing)
    elif name in _CALLS:
        _replace("call", _going_wrong(_CALLS[name]))


def damage(name: str, folder: Path) -> None:
    """Damage the segments of the log after the process has checked itself."""
    segments = [path for path in files_below(folder / "logs") if ".jsonl" in path.name]
    if name == "damaged log":
        content = bytearray(segments[0].read_bytes())
        content[len(content) // 2] ^= 1
        segments[0].write_bytes(content)
    elif name == "missing log":
        for segment in segments:
            segment.unlink()


def _replace(method: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(CircuitBreaker, method, around(getattr(CircuitBreaker, method)))


def _waiting(is_due: Callable[[], bool]) -> Callable[..., Any]:
    held = threading.Lock()
    held.acquire()

    def around(snapshot: Callable[..., Any]) -> Callable[..., Any]:
        def waits(breaker: CircuitBreaker) -> Any:
            if is_due():
                held.acquire()
            return snapshot(breaker)

        return waits

    return around


def _differing(snapshot: Callable[..., Any]) -> Callable[..., Any]:
    return lambda breaker: attrs.evolve(snapshot(breaker), epoch=1_000_000)


def _going_wrong(wrongly: Callable[..., Any]) -> Callable[..., Any]:
    """Replace every seventh call by a faulty one."""
    calls: list[None] = []

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def goes_wrong(breaker: CircuitBreaker, function: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            if len(calls) % _EVERY == 0:
                result = wrongly(breaker, function, *args, **kwargs)
                if result is not None:
                    return result
            return call(breaker, function, *args, **kwargs)

        return goes_wrong

    return around


def _without_the_breaker(_breaker: CircuitBreaker, function: Any, *args: Any) -> Any:
    return function(*args)


def _twice(breaker: CircuitBreaker, *_: Any) -> None:
    decision = breaker.before_call()
    if decision.allowed:
        breaker.after_success(decision.permit)


def _raise(*_: Any) -> None:
    raise RuntimeError("planted")


def _crash(*_: Any) -> None:
    os.abort()


def _kill_a_thread(*_: Any) -> None:
    threading.Thread(target=_raise, name="planted").start()


_CALLS: Final[dict[str, Callable[..., Any]]] = {
    "lost outcome": _without_the_breaker,
    "outcome recorded twice": _twice,
    "error": _raise,
    "dead thread": _kill_a_thread,
    "crash": _crash,
}
