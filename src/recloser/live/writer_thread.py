"""The thread that writes a log, which any call starts again if it was killed."""

import contextlib
import logging
import threading
from _thread import start_new_thread
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from weakref import ref

from recloser.process.bell import Bell
from recloser.process.exits import at_exit
from recloser.process.thread_runner import RunnerReference, ThreadRunner, is_running

BATCH_SECONDS: Final = 0.05
"""How long events wait before they are written, so that many are written at once."""

IDLE_SECONDS: Final = 1.0
_logger: Final = logging.getLogger("recloser")


class WrittenLog(Protocol):
    """A log, as its writer thread sees it.

    Attributes:
        path: The folder of the log.
    """

    @property
    def path(self) -> Path:
        """The folder of the log."""

    def write_round(self) -> None:
        """Wait for events, and write them."""

    def close(self) -> None:
        """End the session."""


class WriterThread:
    """Runs the rounds of a log in a thread until it is stopped.

    Starting is left to callers: each call of a breaker checks, without a lock, whether the thread is
    there. Two callers may both find it gone and both start one. That is harmless, as the rounds of
    both take the disk's lock; the log keeps a reference to one of them only.

    Args:
        log: The log.

    Attributes:
        wake: Rung when events wait; the thread then waits a little for more.
        hurry: Rung when events should be written at once, as after an edge.
        failure: Why the thread does not do its work now; None while it does.
        is_needed: Whether there may be anything for the thread to write.
        is_stopping: Whether the thread should end.
    """

    def __init__(self, log: WrittenLog) -> None:
        self._log = log
        self.wake = Bell()
        self.hurry = Bell()
        self._ended = Bell()
        self._ends_at_exit = False
        self._runner: RunnerReference | None = None
        self._ident = 0
        self.failure: str | None = None
        self.is_needed = False
        self.is_stopping = False

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return is_running(self._runner)

    def start(self, close_at_exit: Callable[[], None]) -> bool:
        """Start the thread, and have the log closed when the process ends.

        Args:
            close_at_exit: Closes the log.

        Returns:
            False if no thread can be started, so that callers must write.
        """
        if self.is_stopping:
            return True
        if not self._ends_at_exit:
            self._ends_at_exit = True
            at_exit(close_at_exit)
        runner = ThreadRunner()
        self._runner = ref(runner)
        try:
            # ``Thread.start`` would wait for the thread to run, and never return in a child that is
            # forked meanwhile.
            start_new_thread(self._run, (runner,))
        except RuntimeError as error:
            # There are too many threads, or the interpreter is ending.
            self._runner = None
            self.failure = f"no thread can be started: {error}"
            return False
        return True

    def stop(self) -> None:
        """Make the thread end, and wait a second at most until it has."""
        self.is_stopping = True
        self.hurry.ring()
        self.wake.ring()
        if self.is_running and self._ident != threading.get_ident():
            # No longer than that: the thread may be logging, and wait for a logging handler that is
            # at work in this very thread. Everything is written, so it only has to end.
            self._ended.wait(IDLE_SECONDS)

    def _run(self, runner: ThreadRunner) -> None:
        try:
            self._ident = threading.get_ident()
            threading.current_thread().name = f"recloser-log-{self._log.path.name}"
            self._run_rounds()
        finally:
            # If an exception from outside has ended the thread, the next call starts another one.
            if self._runner is not None and self._runner() is runner:
                self._runner = None
            self._ended.ring()

    def _run_rounds(self) -> None:
        failed_rounds = 0
        while not self.is_stopping:
            try:
                self._log.write_round()
                failed_rounds, self.failure = 0, None
            except BaseException as error:  # not even SystemExit ends it, as nobody else writes
                with contextlib.suppress(BaseException):
                    failed_rounds += 1
                    self.failure = f"{type(error).__name__}: {error}"
                    _logger.exception("%s: while writing; it is tried again", self._log.path)
                    self.hurry.wait(min(BATCH_SECONDS * 2**failed_rounds, IDLE_SECONDS))
