"""Attacks on the load: signals, exceptions of other threads, garbage, logging, forks, a bad disk."""

import ctypes
import errno
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final, cast

from host_rounds.load import Hand, Load, SoftTimeLimit, Stopped
from host_rounds.plan import (
    ASYNC_EXC,
    CLOSE,
    COLLECTOR,
    DISK,
    FORK_IN_HANDLER,
    INTERRUPT,
    LOGGING,
    RAISE,
    SIGNAL_CALLS,
)
from recloser.log import disk

_host_logger: Final = logging.getLogger("host")
_LOGGERS: Final = (logging.getLogger(), logging.getLogger("recloser"), _host_logger)
_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_TIMER_SECONDS: Final = (0.0003, 0.004)
_ASYNC_SECONDS: Final = (0.001, 0.008)
_SWALLOWED_SECONDS: Final = 0.2
_MOST_FORKS: Final = 3
_SIBLING: Final = """
import os, random, sys, time
target, number, chance = int(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
while os.getppid() == target:
    time.sleep(chance.uniform(0.001, 0.01))
    os.kill(target, number)
"""


class Attacks:
    """The attacks of a plan on one process.

    Args:
        load: The load to attack.
        fork: Forks the process; called in a signal handler, where the child goes on too.
    """

    def __init__(self, load: Load, fork: Callable[[], None]) -> None:
        self._load = load
        self._fork = fork
        self._chosen = frozenset(load.plan.attacks)
        self._chance = random.Random(load.plan.seed + 3)
        self._main = load.hand
        self._is_on = False
        self._forks = 0
        self._close_at = self._rests_until = 0.0
        self._siblings: list[subprocess.Popen[bytes]] = []
        self._workers: dict[int, Hand] = {}
        self._thread: threading.Thread | None = None
        self._threshold = gc.get_threshold()
        has_locks = not {RAISE, INTERRUPT, ASYNC_EXC, FORK_IN_HANDLER} & self._chosen
        self._announced = _Announced(has_lock=has_locks)
        self._add_handlers(has_locks=has_locks)

    @property
    def is_close_announced(self) -> bool:
        """Whether a logged warning said that the log is closed."""
        return self._announced.is_close

    def handle_signals(self) -> None:
        """Install the signal handlers; no signal comes before ``start``."""
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, self._on_timer)
        signal.signal(signal.SIGUSR1, self._on_call)
        signal.signal(signal.SIGINT, self._on_interrupt)

    def start(self) -> None:
        """Start all planned attacks, in the main thread of the first process."""
        self._close_at = time.monotonic() + self._chance.uniform(0.05, self._load.plan.seconds)
        self._is_on = True
        if DISK in self._chosen:
            self._spoil_disk()
        if COLLECTOR in self._chosen:
            gc.set_threshold(self._chance.choice((5, 20, 60)), 100, 100)
        if SIGNAL_CALLS in self._chosen:
            self._begin_sibling(signal.SIGUSR1)
        if INTERRUPT in self._chosen:
            self._begin_sibling(signal.SIGINT)
        if ASYNC_EXC in self._chosen:
            self._thread = threading.Thread(target=self._raise_in_workers, daemon=True)
            self._thread.start()
        self.arm()

    def arm(self) -> None:
        """Set the timers, which a forked child does not inherit."""
        self._is_on = True
        self._main = self._load.hand
        if {RAISE, SIGNAL_CALLS, CLOSE, FORK_IN_HANDLER} & self._chosen:
            signal.setitimer(signal.ITIMER_REAL, self._chance.uniform(*_TIMER_SECONDS))
        if SIGNAL_CALLS in self._chosen:
            signal.setitimer(signal.ITIMER_PROF, self._chance.uniform(*_TIMER_SECONDS))

    def after_fork(self) -> None:
        """Forget the threads and siblings of the parent, in a forked child."""
        self._siblings = []
        self._workers = {}
        self._thread = None

    def stop(self) -> None:
        """End all attacks, and wait until none is running."""
        self._is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for sibling in self._siblings:
            sibling.kill()
            sibling.wait()
        if self._thread is not None:
            self._thread.join(5)
        gc.set_threshold(*self._threshold)

    def expose(self, thread: int) -> None:
        """Allow attacks to raise exceptions in the calling thread, which is a worker."""
        self._workers[thread] = self._load.hand

    def make_garbage(self) -> None:
        """Create garbage: an object in a cycle, which calls a breaker when it is collected."""
        if COLLECTOR in self._chosen and self._chance.random() < 0.5:
            _Session(self._load, self._chance)

    def log_something(self) -> None:
        """Log a record of the host service now and then."""
        if LOGGING in self._chosen and self._chance.random() < 0.05:
            _host_logger.warning("a request was served")

    # Handlers of signals, which run in the main thread.

    def _on_timer(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_on:
            return
        timer = signal.ITIMER_REAL if number == signal.SIGALRM else signal.ITIMER_PROF
        try:
            self._attack_main()
        finally:
            if self._is_on:
                signal.setitimer(timer, self._chance.uniform(*_TIMER_SECONDS))
        if RAISE in self._chosen and number == signal.SIGALRM:
            self._raise_in_main(SoftTimeLimit())

    def _attack_main(self) -> None:
        if CLOSE in self._chosen and time.monotonic() > self._close_at:
            self._close()
        if (
            FORK_IN_HANDLER in self._chosen
            and self._main.exposed
            and self._forks < _MOST_FORKS
            and self._chance.random() < 0.1
        ):
            self._forks += 1
            self._main.exposed = False  # so that no other handler raises meanwhile
            self._fork()
            self._main.exposed = True
        if SIGNAL_CALLS in self._chosen:
            self._act()

    def _act(self) -> None:
        """Call a breaker, and then do nothing for as long as the call took.

        Otherwise, if a call waits for the disk, signals would arrive faster than they are handled.
        """
        began = time.monotonic()
        if began < self._rests_until:
            return
        self._load.act(self._chance)
        ended = time.monotonic()
        self._rests_until = ended + (ended - began)

    def _on_call(self, *_: object) -> None:
        if self._is_on:
            self._act()

    def _on_interrupt(self, *_: object) -> None:
        self._raise_in_main(KeyboardInterrupt())

    def _raise_in_main(self, error: BaseException) -> None:
        if self._is_on and self._main.exposed:
            self._main.exposed = False
            raise error

    def _close(self) -> None:
        if self._load.log is not None and not self._load.is_closing:
            self._load.is_closing = True
            self._load.log.close()
            self._load.has_closed = True

    # Others.

    def _begin_sibling(self, number: signal.Signals) -> None:
        arguments = [str(os.getpid()), str(int(number)), str(self._load.plan.seed)]
        command = [sys.executable, "-I", "-S", "-c", _SIBLING, *arguments]
        self._siblings.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

    def _raise_in_workers(self) -> None:
        chance = random.Random(self._load.plan.seed + 4)
        raises = ctypes.pythonapi.PyThreadState_SetAsyncExc
        sent: dict[int, float] = {}
        while self._is_on:
            time.sleep(chance.uniform(*_ASYNC_SECONDS))
            for thread, hand in list(self._workers.items()):
                now = time.monotonic()
                # An exception that was raised where it is ignored, as in __del__, is not waited for.
                is_swallowed = now - sent.get(thread, now) > _SWALLOWED_SECONDS
                if hand.exposed and (not hand.awaited or is_swallowed):
                    hand.awaited, hand.exposed = True, False
                    sent[thread] = now
                    kind = chance.choice((SoftTimeLimit, Stopped))
                    raises(ctypes.c_ulong(thread), ctypes.py_object(kind))
                elif is_swallowed:
                    hand.exposed = True

    def _add_handlers(self, *, has_locks: bool) -> None:
        """Add logging handlers, without locks if an attack can raise or fork in a logging call.

        The locks of ``logging`` do not survive that: they stay held, or are released twice.
        """
        chance = random.Random(self._load.plan.seed + 5)
        handlers: list[logging.Handler] = [self._announced]
        if LOGGING in self._chosen:
            handlers.append(_Shipping(self._load, chance, has_lock=has_locks))
            handlers.append(_Slow(has_lock=has_locks))
        for handler in handlers:
            logging.getLogger().addHandler(handler)
        for logger in _LOGGERS:
            for level in _LEVELS:
                logger.isEnabledFor(level)  # caches the answer, so that no lock is taken later

    def _spoil_disk(self) -> None:
        chance = random.Random(self._load.plan.seed + 6)
        began = time.monotonic()
        bad_from = chance.uniform(0, 0.15)
        bad_until = bad_from + chance.uniform(0.02, 0.15)

        def spoilt(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                if self._is_on and bad_from < time.monotonic() - began < bad_until:
                    if chance.random() < 0.1:
                        time.sleep(0.02)
                    elif chance.random() < 0.7:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(*args)

            return call

        for name in ("create", "write", "sync"):
            setattr(disk, name, spoilt(getattr(disk, name)))


class _Session:
    """An object in a cycle that reports its end to a remote service."""

    def __init__(self, load: Load, chance: random.Random) -> None:
        self._load, self._chance = load, chance
        self._self = self

    def __del__(self) -> None:
        # Python ignores exceptions in __del__, so what an attack raises here is lost.
        with suppress(SoftTimeLimit, Stopped, KeyboardInterrupt):
            load = getattr(self, "_load", None)  # an attack may have struck before it had one
            if load is not None and not load.is_over:
                load.act(self._chance)


class _NoLock:
    """Replaces the lock of a logging handler by methods that do nothing."""

    def acquire(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


class _Handler(logging.Handler):
    """A handler with or without a lock."""

    def __init__(self, *, has_lock: bool) -> None:
        self._has_lock = has_lock
        super().__init__()

    def createLock(self) -> None:  # as logging calls it
        """Create the lock, or a replacement that does nothing."""
        if self._has_lock:
            super().createLock()
        else:
            self.lock = cast("threading.RLock", _NoLock())


class _Shipping(_Handler):
    """A handler that sends records to a service that a breaker protects."""

    def __init__(self, load: Load, chance: random.Random, *, has_lock: bool) -> None:
        super().__init__(has_lock=has_lock)
        self._load, self._chance = load, chance

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record, through a breaker."""
        record.getMessage()
        self._load.act(self._chance, self._chance.choice(("call", "permits")))


class _Announced(_Handler):
    """A handler that notes whether a record says that a log is closed."""

    is_close = False

    def emit(self, record: logging.LogRecord) -> None:
        """Note whether the record says that a log is closed."""
        self.is_close |= "closed" in record.getMessage()


class _Slow(_Handler):
    """A handler whose disk is slow."""

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record, and sleep for 2 ms."""
        record.getMessage()
        time.sleep(0.002)
