"""The background threads of a shared log: start and replace them."""

import threading
import weakref
from _thread import start_new_thread
from collections.abc import Callable, Mapping

from recloser.process.bell import Bell
from recloser.process.thread_runner import RunnerReference, ThreadRunner, is_running


class LogThreads:
    """Threads by name, each of which runs one function until it returns.

    ``start`` and ``need_start`` take no lock, because a signal handler may come here while its own
    thread is inside. So two threads that call ``start`` at once may each start a thread of the same
    name. Both then make round trips, and that is harmless: an entry that is sent twice, or folded
    twice, has a ``batch`` that was seen before, and is ignored the second time.

    Args:
        functions: The function of each thread, by the name of the thread.

    Attributes:
        is_incomplete: Whether a thread could not be started, or has ended.
        failure: Why no thread can be started; None if that is possible.
    """

    def __init__(self, functions: Mapping[str, Callable[[], None]]) -> None:
        self.is_incomplete = False
        self.failure: str | None = None
        self._functions = functions
        # For each running thread: a reference that dies with it, and a bell that it rings at its end.
        self._running: dict[str, tuple[RunnerReference, Bell]] = {}

    @property
    def need_start(self) -> bool:
        """Whether a thread is missing, including one that was killed without a trace."""
        return self.is_incomplete or not all(
            is_running(runner) for runner, _ in tuple(self._running.values())
        )

    def is_running(self, name: str) -> bool:
        """Return whether the thread of this name is running."""
        running = self._running.get(name)
        return running is not None and is_running(running[0])

    def start(self) -> None:
        """Start the threads that are not running, as far as threads can be started."""
        self.is_incomplete = False
        for name, function in self._functions.items():
            if self.is_running(name):
                continue
            try:
                # ``Thread.start`` waits until the thread runs. In a child that is forked meanwhile it
                # would wait forever, as the thread is not in the child.
                start_new_thread(self._run, (self._new_runner(name), name, function))
            except RuntimeError as error:
                # There are too many threads, or the interpreter is ending. The next use of a breaker
                # tries again; until then, calls are decided without the stream.
                self._running.pop(name, None)
                self.is_incomplete = True
                self.failure = f"no thread can be started: {error}"
                return
        self.failure = None

    def await_end(self, seconds: float) -> None:
        """Wait for the end of all threads but the calling one.

        Args:
            seconds: The longest wait for each thread.
        """
        running = dict(self._running)
        running.pop(threading.current_thread().name, None)
        for runner, ended in running.values():
            if is_running(runner):
                ended.wait(seconds)

    def _new_runner(self, name: str) -> ThreadRunner:
        runner = ThreadRunner()
        self._running[name] = weakref.ref(runner), Bell()
        return runner

    def _run(self, _runner: ThreadRunner, name: str, function: Callable[[], None]) -> None:
        entry = self._running[name]
        try:
            threading.current_thread().name = name
            function()
        finally:
            # An exception from outside may have ended the thread; the next use of a breaker then
            # starts another one. An entry of that other thread must stay.
            if self._running.get(name) is entry:
                del self._running[name]
            self.is_incomplete = True
            entry[1].ring()

    def __bool__(self) -> bool:
        return bool(self._running)
