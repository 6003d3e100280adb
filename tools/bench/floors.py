"""The floor: the least that a wrapper in pure Python must do to record each call in its order."""

import threading
import time
from functools import wraps

from bench.adapters import AsyncCall, Broken, Call

_now = time.monotonic_ns


def recording(function: Call) -> Call:
    """Reads the monotonic clock twice, takes a lock and appends a tuple."""
    lock = threading.Lock()
    record = list[tuple[int, int, bool]]().append

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        started = _now()
        try:
            result = function(*args, **kwargs)
        except Exception:
            ended = _now()
            with lock:
                record((started, ended, False))
            raise
        ended = _now()
        with lock:
            record((started, ended, True))
        return result

    return call


def recording_awaited(function: AsyncCall) -> AsyncCall:
    """The same of a coroutine function."""
    lock = threading.Lock()
    record = list[tuple[int, int, bool]]().append

    @wraps(function)
    async def call(*args: object, **kwargs: object) -> object:
        started = _now()
        try:
            result = await function(*args, **kwargs)
        except Exception:
            ended = _now()
            with lock:
                record((started, ended, False))
            raise
        ended = _now()
        with lock:
            record((started, ended, True))
        return result

    return call


def refusing(function: Call) -> Call:
    """Refuses each call: reads the clock once, takes a lock, appends a tuple and raises."""
    lock = threading.Lock()
    record = list[tuple[int, int]]().append

    @wraps(function)
    def call(*_args: object, **_kwargs: object) -> object:
        now = _now()
        with lock:
            record((now, now))
        raise Broken

    return call


def refusing_awaited(function: AsyncCall) -> AsyncCall:
    """The same of a coroutine function."""
    lock = threading.Lock()
    record = list[tuple[int, int]]().append

    @wraps(function)
    async def call(*_args: object, **_kwargs: object) -> object:
        now = _now()
        with lock:
            record((now, now))
        raise Broken

    return call
