"""The floor: the least work with which a wrapper in pure Python can record every call in order."""

import threading
import time
from functools import wraps

from bench.adapters import AsyncCall, Broken, Call

_now = time.monotonic_ns


def recording(function: Call) -> Call:
    """Wrap a function: read the monotonic clock twice, take a lock and append a tuple."""
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
    """Wrap a coroutine function: read the clock twice, take a lock and append a tuple."""
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
    """Reject each call: read the clock once, take a lock, append a tuple and raise."""
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
    """Reject each call of a coroutine function: read the clock once, take a lock, append and raise."""
    lock = threading.Lock()
    record = list[tuple[int, int]]().append

    @wraps(function)
    async def call(*_args: object, **_kwargs: object) -> object:
        now = _now()
        with lock:
            record((now, now))
        raise Broken

    return call
