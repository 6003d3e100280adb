"""The load of a service: breakers on one log, called by threads, tasks and signal handlers."""

import asyncio
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from host_rounds.ledger import FAILED, IGNORED, REJECTED, SUCCEEDED, Book
from host_rounds.plan import LONGEST_PROBE_SECONDS, Plan
from host_rounds.ways import BAD, SEE_RESULTS, NotOursError, ServiceDownError, Ways, is_bad, work
from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventLog,
    Listener,
    LoggingListener,
    MemoryLog,
    PermitError,
)
from recloser.live.live_log import Log

NEW_NAMES: Final = 6
_DEEPEST: Final = 2
_LONGEST_BURST: Final = 30
_RESTS: Final = (0.0, 0.0002, 0.001)
_OUTCOMES: Final = (SUCCEEDED, FAILED, IGNORED, BAD, "slow")
_ACTS: Final = (
    "snapshot",
    "call",
    "call",
    "permits",
    "permits",
    "force_open",
    "force_closed",
    "reset",
    "health",
    "flush",
    "new",
    "current_state",
)


class SoftTimeLimit(Exception):  # noqa: N818  # as Celery and RQ name theirs
    """A time limit of the host, which a signal handler raises."""


class Stopped(BaseException):
    """An exception that another thread raises in a worker, to stop its current work."""


HOST_RAISES: Final = (SoftTimeLimit, Stopped, KeyboardInterrupt)
"""The exceptions that attacks raise in the load."""


@attrs.define
class Hand:
    """Current activity of a thread.

    Attributes:
        exposed: Whether an attack may raise in this thread now.
        awaited: Whether an exception was sent to this thread that was not raised yet.
        active: The breakers that this thread is calling now.
        open_until: For each breaker, the latest end of an interrupted call's block, in seconds of
            the monotonic clock.
        depth: The number of handlers that are running in this thread, one inside another.
    """

    exposed: bool = False
    awaited: bool = False
    active: list[str] = attrs.field(factory=list)
    open_until: dict[str, float] = attrs.field(factory=dict)
    depth: int = 0


class Load:
    """Breakers of one process, the calls to them, and what is known of these calls.

    Attributes:
        log: The log; None if breakers have none.
        is_over: Whether the load of this process has to end.
        is_closing: Whether a handler has begun to close the log.
        has_closed: Whether closing the log has returned.
        unrecorded: One entry per call that ended after the log was closed, which may be unrecorded.
        first_totals: Number of outcomes of each breaker before the first call of this process; None
            if unknown.
        spare_of_each: Number of calls to each breaker that a child may have made before its books.
        in_flight: Largest possible number of the parent's calls in flight when its child was forked.
        violations: Faults in this process: family and description.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.log = _make_log(plan, folder / "logs" / "log")
        self.is_over = self.is_closing = self.has_closed = False
        self.violations: list[tuple[str, str]] = []
        self.permit_errors = 0
        self.books: dict[str, Book] = {}
        self.baseline: dict[str, dict[str, int]] = {}
        self._planned = tuple(f"b{number}" for number in range(len(plan.configs)))
        self.names = list(self._planned)
        self.raised: list[None] = []
        self.acted: list[None] = []
        self.unrecorded: list[None] = []
        self.first_totals: dict[str, int] | None = {}
        self.in_flight: dict[str, int] = {}
        self.spare_of_each = 0
        self._spares: dict[str, int] = {}
        self._early: list[str] = []
        self._pid = os.getpid()
        self._hands: dict[int, Hand] = {}
        self._breakers = Breakers(self._config_of, log=self.log, listeners=_listeners(self))
        self._ways = Ways()
        self._chance = random.Random(plan.seed + 1)
        self._began = time.monotonic()
        if not plan.late:
            for name in self.names:
                self.breaker(name)

    def _config_of(self, name: str) -> CircuitBreakerConfig:
        number = int(name[1:]) if name in self._planned else 0
        return attrs.evolve(
            CircuitBreakerConfig.from_mapping(self.plan.configs[number]),
            ignore=(NotOursError,),
            failure_result=is_bad if self._judges_results(name) else None,
        )

    @property
    def hand(self) -> Hand:
        """Current activity of this thread.

        This is not a thread-local, because a signal handler may run before that is initialized.
        """
        thread = threading.get_ident()
        return self._hands.get(thread) or self._hands.setdefault(thread, Hand())

    def breaker(self, name: str) -> CircuitBreaker:
        """Return the breaker of a name, which is created on first use."""
        return self._breakers[name]

    def made(self) -> Mapping[str, CircuitBreaker]:
        """Return all breakers that were created so far, by name."""
        return {name: self._breakers[name] for name in list(self._breakers)}

    def book(self, name: str) -> Book:
        """Return the ledger of this process's calls to a breaker."""
        book = self.books.get(name)
        if book is None:
            spare = self._spares.get(name, 0) + self._early.count(name) + self.spare_of_each
            new = Book(spare, self.baseline.get(name))
            book = self.books.setdefault(name, new)
        return book

    def start_books_anew(
        self,
        baseline: dict[str, dict[str, int]],
        spares: dict[str, int],
        first_totals: dict[str, int] | None,
        in_flight: dict[str, int],
    ) -> None:
        """Begin new books in a forked child; the calls so far belong to the parent.

        If a signal arrives in the parent just before the fork, Python may run its handler in the
        child too, before this method. The handler's calls may or may not be in the child's log.
        """
        pid = os.getpid()
        self.first_totals, self.in_flight = first_totals, in_flight
        self.baseline, self._spares = baseline, spares
        self.books, self._pid = {}, pid
        self.violations = []
        self.permit_errors = 0
        self.raised, self.acted = [], []
        for name in [*baseline, *spares]:
            self.book(name)

    def note(self, family: str, what: str) -> None:
        """Note a violation."""
        self.violations.append((family, what))

    def attempt(self, name: str, way: str, outcome: str, *, is_alone: bool = False) -> None:
        """Make one call, and enter it in the book.

        A call within a call of the same breaker may use the permit of the outer one, so it need not
        have an outcome of its own. If an attack raised at the first instruction of ``__exit__``, the
        outer call stays open until its probe times out.

        Args:
            name: The name of the breaker.
            way: One of ``plan.WAYS``.
            outcome: How the protected function ends.
            is_alone: Whether the call is known not to be within another call, as in a separate task.
        """
        hand = self.hand
        is_nested = not is_alone and (
            name in hand.active or time.monotonic() < hand.open_until.get(name, 0)
        )
        # This comes first: a handler may fork at any moment, and then the call ends in the child too.
        hand.active.append(name)
        if os.getpid() != self._pid:
            self._early.append(name)  # in a child that has no books yet
        book = self.book(name)
        book.begin()
        try:
            kind = self._make(name, way, outcome)
        except HOST_RAISES:
            hand.open_until[name] = time.monotonic() + LONGEST_PROBE_SECONDS
            raise
        finally:
            with suppress(ValueError):
                hand.active.remove(name)
        if self.has_closed and isinstance(self.log, EventLog) and self.log.is_closed:
            self.unrecorded.append(None)
        if self.is_closing:
            return
        if kind is not None and not is_nested:
            book.end(kind)

    def _make(self, name: str, way: str, outcome: str) -> str | None:
        try:
            result = self._ways.call(self.breaker(name), way, outcome)
        except ServiceDownError:
            return FAILED
        except NotOursError:
            return IGNORED
        except CircuitOpenError:
            return REJECTED
        except PermitError:
            self.permit_errors += 1
        except HOST_RAISES:
            raise
        except BaseException:  # noqa: BLE001  # an unexpected exception of a breaker is a fault
            self.note("error", f"{way}, {outcome}:\n{traceback.format_exc()}")
        else:
            if result == REJECTED:
                return REJECTED
            has_failed = result == BAD and way in SEE_RESULTS and self._judges_results(name)
            return FAILED if has_failed else SUCCEEDED
        return None

    def _judges_results(self, name: str) -> bool:
        return self.plan.judges_results and name == self._planned[-1]

    def burst(self, chance: random.Random) -> None:
        """Make up to 30 calls, then sleep for at most 1 ms."""
        for _ in range(chance.randint(1, _LONGEST_BURST)):
            if self.is_over:
                return
            self.attempt(
                chance.choice(self.names), chance.choice(self.plan.ways), self.next(chance)
            )
        if chance.random() < 0.02:
            self._reset(chance.choice(self.names))
        time.sleep(chance.choice(_RESTS))

    def _reset(self, name: str) -> None:
        try:
            self.breaker(name).reset(actor="operator")
        except HOST_RAISES:
            raise
        except BaseException:  # noqa: BLE001  # any exception is a fault
            self.note("error", f"reset:\n{traceback.format_exc()}")

    def next(self, chance: random.Random) -> str:
        """Draw the outcome of the next call; most calls fail during an outage."""
        is_out = int((time.monotonic() - self._began) / 0.06) % 2
        if chance.random() < (0.8 if is_out else 0.05):
            return FAILED
        return chance.choice(_OUTCOMES) if chance.random() < 0.1 else SUCCEEDED

    def survive(self, work: Callable[[], None]) -> None:
        """Repeat ``work`` until the load is over, also after exceptions that attacks raise."""
        while not self.is_over:
            try:
                self._work_on(work)
            except HOST_RAISES:
                self._recover()

    def _work_on(self, work: Callable[[], None]) -> None:
        hand = self.hand
        try:
            hand.exposed = True
            while not self.is_over:
                work()
            hand.exposed = False
        except HOST_RAISES:
            self._recover()

    def _recover(self) -> None:
        hand = self.hand
        hand.exposed = hand.awaited = False
        hand.active.clear()
        hand.depth = 0
        self.raised.append(None)

    def act(self, chance: random.Random, only: str | None = None) -> None:
        """Perform an action on a breaker or the log, as a signal handler may at any moment."""
        hand = self.hand
        if hand.depth >= _DEEPEST or self.is_over:
            return
        hand.depth += 1
        try:
            self._act(only or chance.choice(_ACTS), chance)
            self.acted.append(None)
        except HOST_RAISES:
            raise
        except BaseException:  # noqa: BLE001  # any exception is a fault
            self.note("error", f"in a handler:\n{traceback.format_exc()}")
        finally:
            hand.depth -= 1

    def _act(self, what: str, chance: random.Random) -> None:
        name = chance.choice(self.names)
        if what in ("call", "permits"):
            self.attempt(name, what, chance.choice((SUCCEEDED, FAILED)))
        elif what == "snapshot":
            self.breaker(name).snapshot()
        elif what == "current_state":
            self.breaker(name).current_state()
        elif what == "new":
            self.attempt(f"new{chance.randrange(NEW_NAMES)}", "call", SUCCEEDED)
        elif what == "health":
            if isinstance(self.log, EventLog):
                self.log.health()
        elif what == "flush":
            if self.log is not None:
                self.log.flush()
        elif what == "force_open":
            self.breaker(name).force_open(actor="handler")
            self.breaker(name).force_closed(actor="handler")
        else:
            getattr(self.breaker(name), what)(actor="handler")

    def run_loop(self, chance: random.Random) -> None:
        """Run event loops whose tasks call breakers, until the load is over."""
        while not self.is_over:
            asyncio.run(self._gather(chance))

    async def _gather(self, chance: random.Random) -> None:
        await asyncio.gather(*(self._task(chance) for _ in range(5)))

    async def _task(self, chance: random.Random) -> None:
        for _ in range(10):
            if self.is_over:
                return
            name = chance.choice(self.names)
            book, breaker = self.book(name), self.breaker(name)
            outcome = chance.choice((SUCCEEDED, SUCCEEDED, FAILED))
            book.begin()
            kind: str | None = outcome
            try:
                async with breaker:
                    await asyncio.sleep(0.001)
                    work(outcome)
            except ServiceDownError:
                pass
            except CircuitOpenError:
                kind = REJECTED
                await asyncio.sleep(0.001)
            except PermitError:
                kind = None
                self.permit_errors += 1
            except Exception:  # noqa: BLE001  # an unexpected exception of a breaker is a fault
                kind = None
                self.note("error", f"in a task:\n{traceback.format_exc()}")
            if kind is not None and not self.is_closing:
                book.end(kind)


def _make_log(plan: Plan, path: Path) -> Log | None:
    if plan.log == "none":
        return None
    if plan.log == "memory":
        return MemoryLog(detail=plan.detail)  # type: ignore[arg-type]  # from the plan
    return EventLog(
        path,
        durability=plan.durability,  # type: ignore[arg-type]  # from the plan
        detail=plan.detail,  # type: ignore[arg-type]  # from the plan
        segment_bytes=plan.segment_bytes,
    )


class _Hearing(Listener):
    """A listener that is slow, calls a breaker, raises an error, or does nothing."""

    def __init__(self, load: Load, what: str) -> None:
        self._load, self._what = load, what
        self._chance = random.Random(load.plan.seed + 2)

    def on_event(self, _event: object) -> None:
        """Perform the listener's action for some of the events."""
        if self._what == "slow":
            time.sleep(0.0005)
        elif self._chance.random() < 0.04:
            if self._what == "calling":
                self._load.act(self._chance)
            elif self._what == "raising":
                raise RuntimeError("a listener is broken")


def _listeners(load: Load) -> tuple[Listener, ...]:
    what = load.plan.listener
    if what == "none":
        return ()
    return (LoggingListener(),) if what == "logging" else (_Hearing(load, what),)
