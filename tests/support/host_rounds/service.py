"""The process of a round: a service that calls breakers while it is attacked.

    python -m host_rounds.service PLAN FOLDER

Each process writes ``begun-PID`` into the folder when it begins, and ``report-PID.json`` after it has
checked itself. On SIGUSR2 it writes the stacks of its threads to ``dump-PID``.
"""

import faulthandler
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from host_rounds import planted
from host_rounds.attacks import Attacks
from host_rounds.checks import HUNG_STATUS, MAIN, finish, recorded_here, totals_of
from host_rounds.load import HOST_RAISES, Load
from host_rounds.plan import ASYNC_EXC, COLLECTOR, DISK, FORK, MULTIPROCESSING, Plan
from recloser import EventLog

_CHILD_SECONDS: Final = (0.02, 0.12)
_JOIN_SECONDS: Final = 5.0
_CHILD_HANGS_SECONDS: Final = 12.0
_DEEPEST: Final = 2


class Service:
    """One process of the round.

    Attributes:
        role: ``main``, or how this process was forked.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.role = MAIN
        self._dump: IO[str] | None = None
        self._begin()
        self._chance = random.Random(plan.seed + 7)
        self._generation = 0
        self._killed_note: Path | None = None
        self._load = Load(plan, folder)
        self._attacks = Attacks(self._load, self._fork_in_handler)
        self._threads: list[threading.Thread] = []
        self._children: list[int] = []
        self._spawned: list[multiprocessing.process.BaseProcess] = []
        self._note_uncaught_exceptions()
        planted.plant(plan.plant, lambda: self.role != MAIN)

    def _begin(self) -> None:
        (self.folder / f"begun-{os.getpid()}").write_text(self.role)
        self._dump = (self.folder / f"dump-{os.getpid()}").open("w")
        faulthandler.register(signal.SIGUSR2, file=self._dump, all_threads=True)

    def _note_uncaught_exceptions(self) -> None:
        def on_thread(args: threading.ExceptHookArgs) -> None:
            if not isinstance(args.exc_value, HOST_RAISES):
                lines = traceback.format_exception(
                    args.exc_type, args.exc_value, args.exc_traceback
                )
                name = "a thread" if args.thread is None else args.thread.name
                self._load.note("thread", f"{name} has died:\n{''.join(lines)}")

        def on_unraisable(args: "sys.UnraisableHookArgs") -> None:
            if not isinstance(args.exc_value, (*HOST_RAISES, SystemExit)):
                lines = traceback.format_exception(
                    args.exc_type, args.exc_value, args.exc_traceback
                )
                self._load.note("error", f"ignored in {args.object!r}:\n{''.join(lines)}")

        threading.excepthook = on_thread
        sys.unraisablehook = on_unraisable

    def run(self) -> None:
        """Run the first process of the round from its begin to its end."""
        self._attacks.handle_signals()
        if self.plan.late:
            for exit_by in self.plan.exits[: len(self.plan.exits) // 2 + 1]:
                self._fork_as_planned(exit_by)
        self._attacks.start()
        self._start_workers(self.plan.threads, forks=FORK in self.plan.attacks)
        self._call_until(time.monotonic() + self.plan.seconds, list(self.plan.fork_at))
        (self.folder / "called").touch()
        if self.role == MAIN:
            self._end(closes=self._chance.random() < 0.7)
        else:  # a child, forked in a handler while the loop above was running
            self._end(closes=False)
            os._exit(0)

    def _call_until(self, until: float, fork_at: list[float]) -> None:
        load, began = self._load, time.monotonic()
        fork_times = [began + share * (until - began) for share in fork_at]
        exits = list(self.plan.exits)

        def step() -> None:
            load.burst(self._chance)
            if self._killed_note is not None and isinstance(load.log, EventLog):
                self._killed_note.write_text(str(load.log.path))
            self._attacks.make_garbage()
            self._attacks.log_something()
            if time.monotonic() > until or self.role != role:
                load.is_over = True
            elif fork_times and time.monotonic() > fork_times[0]:
                fork_times.pop(0)
                load.hand.exposed = False
                self._fork_as_planned(exits.pop(0))
                load.hand.exposed = True

        role = self.role
        load.survive(step)
        load.hand.exposed = False

    def _start_workers(self, count: int, *, forks: bool = False) -> None:
        load = self._load
        for number in range(count):
            chance = random.Random(self.plan.seed + 100 + 10 * self._generation + number)
            is_loop = self.plan.has_loop and number == 0
            may_fork = forks and number == count - 1 and ASYNC_EXC not in self.plan.attacks

            def call(chance: random.Random = chance) -> None:
                self._attacks.expose(threading.get_ident())
                load.survive(lambda: self._worker_step(chance))

            def call_and_fork(chance: random.Random = chance) -> None:
                time.sleep(chance.uniform(0, self.plan.seconds / 2))
                if not load.is_over:
                    self._fork(lambda: self._live(depth=_DEEPEST, exit_by="_exit"), "of a thread")
                load.survive(lambda: self._worker_step(chance))

            def loop(chance: random.Random = chance) -> None:
                load.run_loop(chance)

            target = loop if is_loop else call_and_fork if may_fork else call
            thread = threading.Thread(target=target, name=f"worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _worker_step(self, chance: random.Random) -> None:
        self._load.burst(chance)
        self._attacks.make_garbage()
        self._attacks.log_something()

    # Children.

    def _fork_as_planned(self, exit_by: str) -> None:
        by_module = MULTIPROCESSING in self.plan.attacks
        if by_module and (FORK not in self.plan.attacks or self._chance.random() < 0.5):
            self._spawn()
        else:
            self._fork(lambda: self._live(depth=1, exit_by=exit_by), f"ends by {exit_by}")

    def _fork(self, live: Callable[[], None], role: str) -> None:
        pid = os.fork()
        if pid:
            self._children.append(pid)
            return
        self._become_child(role)
        live()

    def _become_child(self, role: str, *, in_handler: bool = False) -> None:
        self.role = role
        self._killed_note = None
        self._generation += 1
        self._begin()
        load = self._load
        self._threads, self._children, self._spawned = [], [], []
        self._attacks.after_fork()
        # A child has a new log in files; a log in memory is a copy of the parent's. Calls that were
        # in flight in the parent's threads may end in the child.
        begins_anew = isinstance(load.log, EventLog)
        active = load.hand.active
        spares = {name: book.most + active.count(name) for name, book in list(load.books.items())}
        in_flight = dict.fromkeys(spares, _DEEPEST * (self.plan.threads + 2))
        baseline: dict[str, dict[str, int]] = {}
        if not begins_anew and not in_handler and self._chance.random() < 0.5:
            baseline, spares = recorded_here(load) or {}, in_flight
        first_totals: dict[str, int] | None = None
        if DISK in self.plan.attacks and not in_handler:
            first_totals = totals_of(load)
        if begins_anew:
            spares = {name: active.count(name) for name in active}
        # Garbage collected since the fork may have called breakers.
        load.spare_of_each = _DEEPEST if COLLECTOR in self.plan.attacks else 0
        load.start_books_anew(baseline, spares, first_totals, in_flight)

    def _live(self, *, depth: int, exit_by: str) -> None:
        """Run a forked child from its begin to its end."""
        load, chance, role = self._load, self._chance, self.role
        chance.seed(self.plan.seed + os.getpid())
        if self.plan.late:
            load.names = [*load.names, f"late{depth}"]
        if chance.random() < 0.5:
            self._attacks.arm()
        if chance.random() < 0.5:
            self._start_workers(chance.randint(1, 2))
        if exit_by == "killed":
            self._be_killed_soon()
        fork_at = [chance.random()] if depth < _DEEPEST and chance.random() < 0.3 else []
        self._live_on(chance.uniform(*_CHILD_SECONDS), fork_at, depth)
        if (
            exit_by == "killed" and self.role == role
        ):  # not a child forked by a handler of this process
            os.kill(os.getpid(), signal.SIGKILL)
        self._end(closes=exit_by == "close")
        if exit_by == "sys.exit":
            sys.exit()
        os._exit(0)

    def _live_on(self, seconds: float, fork_at: list[float], depth: int) -> None:
        until = time.monotonic() + seconds
        if fork_at:
            self._call_until(time.monotonic() + seconds * fork_at[0], [])
            if threading.current_thread() is threading.main_thread():
                self._fork(lambda: self._live(depth=depth + 1, exit_by="_exit"), "a grandchild")
            self._load.is_over = False
        self._call_until(until, [])

    def _be_killed_soon(self) -> None:
        self._killed_note = self.folder / f"killed-{os.getpid()}"
        self._killed_note.touch()
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._chance.uniform(0.001, 0.05))

    def _spawn(self) -> None:
        child = multiprocessing.get_context("fork").Process(target=self._live_spawned)
        child.start()
        self._spawned.append(child)

    def _live_spawned(self) -> None:
        self._become_child("of multiprocessing")
        self._chance.seed(self.plan.seed + os.getpid())
        self._live_on(self._chance.uniform(*_CHILD_SECONDS), [], _DEEPEST)
        self._end(closes=False)

    def _fork_in_handler(self) -> None:
        """Fork in a signal handler; the child finishes the interrupted call, and then ends."""
        pid = os.fork()
        if pid:
            self._children.append(pid)
            return
        self._become_child("forked in a handler", in_handler=True)
        for _ in range(self._chance.randint(0, 3)):
            self._load.act(self._chance, self._chance.choice(("call", "permits", "snapshot")))

    # The end of a process.

    def _end(self, *, closes: bool) -> None:
        self._load.is_over = True
        self._attacks.stop()
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self._load.note("hang", f"{thread.name} has not come back")
        has_dumped = self._has_hung()
        if has_dumped:
            self._show_threads()
        self._reap()
        finish(self._load, self.role, self.folder, self._is_silent, closes=closes)
        if self._has_hung():
            if not has_dumped:
                self._show_threads()
            os._exit(HUNG_STATUS)
        planted.damage(self.plan.plant, self.folder)

    def _has_hung(self) -> bool:
        return any(family == "hang" for family, _ in self._load.violations)

    def _show_threads(self) -> None:
        faulthandler.dump_traceback(self._dump or sys.stderr, all_threads=True)

    def _is_silent(self) -> bool:
        """Return whether calls after the log was closed left neither a warning nor a count."""
        load = self._load
        if self.role != MAIN or not load.unrecorded or not isinstance(load.log, EventLog):
            return False
        return not self._attacks.is_close_announced and not load.log.health().lost

    def _reap(self) -> None:
        until = time.monotonic() + _CHILD_HANGS_SECONDS
        waited = list(self._children)
        while waited and time.monotonic() < until:
            waited = [pid for pid in waited if os.waitpid(pid, os.WNOHANG) == (0, 0)]
            time.sleep(0.002)
        for child in self._spawned:
            child.join(max(0.0, until - time.monotonic()))
            if child.exitcode is None and child.pid is not None:
                waited.append(child.pid)
        for pid in waited:
            os.kill(pid, signal.SIGUSR2)
            self._load.note("hang", f"the child {pid} does not end")
        if waited:
            time.sleep(0.3)
        for pid in waited:
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run the service with the plan and the folder from the command line."""
    logging.getLogger("recloser").setLevel(logging.INFO)
    plan = Plan.from_json(sys.argv[1])
    Service(plan, Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
