"""The fold of a whole log: the states of all its breakers, its position and its time."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from attrs import evolve

from recloser.core import kernel
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import (
    BreakerConfigured,
    BreakerEvent,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
)
from recloser.core.fold import NO_EDGES, FoldedEvent, apply, config_in
from recloser.core.kernel import NEVER
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.core.state import BreakerState, restore
from recloser.errors import DamagedLogError, FoldError

FoldMark: TypeAlias = tuple[int, int, LogOpened | None, LogOpened | ClockTicked | None]
"""Position of a fold: last ``seq``, last ``at``, last header, last clock reading."""

_WITHOUT_EFFECT: Final = frozenset(("state_changed", "log_sealed", "log_gap", "call_observed"))


class Keeper(Protocol):
    """Saves the states of breakers before they change, so that a change can be undone."""

    def keep(self, breaker: str, fold: "LogFold") -> None:
        """Save the state of a breaker, unless it is saved already."""


class OutcomeColumns(Protocol):
    """Outcomes in the order of the log, as columns, which are folded without making events."""

    @property
    def first_seq(self) -> int:
        """The ``seq`` of the first outcome."""

    @property
    def last_at(self) -> int:
        """Time of the last outcome, in nanoseconds of the log."""

    @property
    def breakers(self) -> Sequence[str]:
        """Names of the breakers of the outcomes, each once."""

    def __len__(self) -> int: ...

    def count_if_plain(self, breaker: str) -> int:
        """How many outcomes a breaker has, if all of them are successes; else 0."""

    def rows(self, breaker: str) -> tuple[kernel.Rows, int]:
        """The outcomes of one breaker as rows for the kernel, and their number."""


class LogFold:
    """Folds the events of one log, in their order, into the state of every breaker in it.

    Attributes:
        breakers: The state of each breaker, by name.
        expected: Objects that become the states of breakers which are not configured yet, by name;
            None if there are none.
        keeper: Saves states before they change; None if nothing needs them.
        seq: ``seq`` of the last event; 0 before the first.
        at: Time of the last event, in nanoseconds of the log.
        opened: The last ``log_opened``; None before the first event.
        parts: Joins the parts of checkpoints; None before the first part.
        is_joined: Whether the next ``log_opened`` follows segments that are lost.
    """

    def __init__(self) -> None:
        self.parts: CheckpointParts | None = None
        self.breakers: dict[str, BreakerState] = {}
        self.expected: dict[str, BreakerState] | None = None
        self.keeper: Keeper | None = None
        self.seq = 0
        self.at = 0
        self.opened: LogOpened | None = None
        self._anchor: LogOpened | ClockTicked | None = None
        self._deadlines: list[tuple[int, str]] = []
        self.is_joined = False

    @classmethod
    def resumed(cls, mark: "FoldMark", states: Mapping[str, BreakerState]) -> "LogFold":
        """Make a fold of some of the breakers that goes on from a position.

        Args:
            mark: The position, from ``mark`` of another fold.
            states: The states of the breakers at that position, by name.
        """
        fold = cls()
        fold.seq, fold.at, fold.opened, fold._anchor = mark
        fold.breakers.update(states)
        fold._collect_deadlines()
        return fold

    def expect(self, state: BreakerState) -> BreakerState:
        """The object that is the state of a breaker, or will be once the breaker is configured.

        A live breaker can so refer to its state before its first event is in the log.

        Args:
            state: The object to use if the breaker is not known yet.
        """
        known = self.breakers.get(state.breaker)
        if known is not None:
            return known
        if self.expected is None:
            self.expected = {}
        return self.expected.setdefault(state.breaker, state)

    def forget_expected(self) -> None:
        """Forget the expected objects whose breakers are configured now."""
        for name in tuple(self.expected or ()):
            if self.expected is not None and name in self.breakers:
                self.expected.pop(name, None)

    def mark(self) -> "FoldMark":
        """The position of the fold, without the states of its breakers."""
        return self.seq, self.at, self.opened, self._anchor

    def return_to(self, good: "LogFold", changed: Collection[str]) -> None:
        """Go back to the position and the states of another fold of the same log.

        The state of a breaker stays the same object, since permits and breakers refer to it.

        Args:
            good: The other fold.
            changed: The breakers whose states may differ; others are not looked at.
        """
        self.seq, self.at, self.opened, self._anchor = good.mark()
        for name in changed:
            known, state = self.breakers.get(name), good.breakers.get(name)
            if state is None:
                self.breakers.pop(name, None)
            elif known is None:
                self.breakers[name] = state
            else:
                known.assume(state)
        self._collect_deadlines()

    def _collect_deadlines(self) -> None:
        deadlines = [
            (state.deadline, name)
            for name, state in self.breakers.items()
            if state.deadline != NEVER
        ]
        heapq.heapify(deadlines)
        self._deadlines = deadlines

    @property
    def ticked_at(self) -> int:
        """When monotonic and wall time were last read together, in nanoseconds of the log."""
        return 0 if self._anchor is None else self._anchor.at

    @property
    def next_deadline(self) -> int | None:
        """When the next timed edge of any breaker is due, in ns of the log; None if there is none."""
        deadlines = self._deadlines
        while deadlines and self.breakers[deadlines[0][1]].deadline != deadlines[0][0]:
            heapq.heappop(deadlines)
        return deadlines[0][0] if deadlines else None

    @property
    def longest_wait_ns(self) -> int:
        """Nanoseconds until the last of the timed edges is due; 0 if there is none."""
        deadlines = [state.deadline for state in self.breakers.values()]
        return max((due - self.at for due in deadlines if due != NEVER), default=0)

    def apply(self, event: Event) -> Sequence[Edge]:
        """Apply the next event of the log.

        Returns:
            The edges taken, as the events that follow this one in the log.

        Raises:
            DamagedLogError: The ``seq`` or ``at`` of the event can't follow the event before it.
            FoldError: The event can't have happened in the state that it is applied to.
        """
        self._check_order(event)
        self.seq = event.seq
        self.at = event.at
        if event.kind in _WITHOUT_EFFECT:
            if event.kind == "log_gap":
                self.is_joined = event.chain is not None
            return NO_EDGES
        if event.kind == "clock_ticked":
            self._anchor = event
            return self._fire_deadlines(event)
        if event.kind == "log_opened":
            return self._open(event)
        about_a_breaker: BreakerEvent = event  # type: ignore[assignment]  # all others returned
        if about_a_breaker.kind == "checkpoint" and about_a_breaker.parts > 1:
            self.parts = self.parts or CheckpointParts()
            whole = self.parts.joined(about_a_breaker)
            if whole is None:
                return NO_EDGES
            about_a_breaker = whole
        state = self.breakers.get(about_a_breaker.breaker)
        if state is None:
            state = self._begin(about_a_breaker)
        return self._apply_to(state, about_a_breaker)

    def apply_outcomes(self, outcomes: OutcomeColumns) -> bool:
        """Apply outcomes of closed breakers, all of their current epochs, that lead to no edge.

        Returns:
            Whether that was done. False if an outcome leads to an edge: the states are half changed
            then, and must be restored before the outcomes are applied one by one.
        """
        self.seq, self.at = outcomes.first_seq + len(outcomes) - 1, outcomes.last_at
        for breaker in outcomes.breakers:
            state = self.breakers[breaker]
            if self.keeper is not None:
                self.keeper.keep(breaker, self)
            count = 0 if state.window is not None else outcomes.count_if_plain(breaker)
            if count:
                # Without a window, the state depends only on how many successes there are.
                kernel.step(state, kernel.SUCCEEDED, self.seq, self.at, 0, state.epoch, 0, count)
                continue
            rows, number = outcomes.rows(breaker)
            if kernel.run(state, rows, 0, number) < number:
                return False
        return True

    def move_to(self, seq: int, at: int, readings: Sequence[LogOpened | ClockTicked]) -> None:
        """Move to the position after events that were applied to the states elsewhere.

        Args:
            seq: ``seq`` of the last of them.
            at: Its time, in nanoseconds of the log.
            readings: The clock readings among them, each of monotonic and wall time.
        """
        self.seq, self.at = seq, at
        for reading in readings:
            self._anchor = reading
            if reading.kind == "log_opened":
                self.opened = reading
        self._collect_deadlines()

    def pass_by(self, event: Checkpoint) -> None:
        """Skip a checkpoint that equals the state; only ``seq`` changes."""
        self._check_order(event)
        self.seq = event.seq

    def use_reading_of(self, header: LogOpened) -> None:
        """Use the clock reading in the header of a further segment of the session."""
        self.opened = self._anchor = header

    def utc(self, at: int) -> datetime:
        """The wall time of a time of the log, computed from the last clock reading."""
        assert self._anchor is not None
        return after(self._anchor.wall, at - self._anchor.at)

    def snapshot(self, breaker: str, at: int | None = None) -> Snapshot:
        """A snapshot of a breaker at a time in ns of the log, by default that of the last event."""
        return take_snapshot(self.breakers[breaker], self.at if at is None else at, self.utc)

    def _check_order(self, event: Event) -> None:
        if self.opened is None:
            if event.kind != "log_opened":
                raise DamagedLogError(
                    f"event {event.seq} ({event.kind}): a log begins with log_opened, not with this"
                )
        elif event.seq != self.seq + 1 and not (event.kind == "log_gap" and event.seq > self.seq):
            raise DamagedLogError(
                f"event {event.seq} ({event.kind}): seq {self.seq + 1} must follow seq {self.seq}"
            )
        if event.at < self.at:
            raise DamagedLogError(
                f"event {event.seq} ({event.kind}): it is timed {event.at}, before the {self.at} of seq {self.seq}"
            )

    def _open(self, event: LogOpened) -> Sequence[Edge]:
        new_session = self.opened is not None and event.session != self.opened.session
        if self.is_joined:
            # The states at this point are lost; the checkpoints of the segment restore them.
            new_session = self.is_joined = False
        self.opened = self._anchor = event
        if not new_session:
            return NO_EDGES
        return self._apply_to_all(sorted(self.breakers), event)

    def _fire_deadlines(self, tick: ClockTicked) -> Sequence[Edge]:
        due = []
        while (deadline := self.next_deadline) is not None and deadline <= tick.at:
            due.append(heapq.heappop(self._deadlines)[1])
        return self._apply_to_all(due, tick) if due else NO_EDGES

    def _apply_to_all(self, names: Sequence[str], event: LogOpened | ClockTicked) -> Sequence[Edge]:
        edges: list[Edge] = []
        for name in names:
            first = len(edges)
            edges += [
                evolve(edge, seq=edge.seq + first)
                for edge in self._apply_to(self.breakers[name], event)
            ]
        return edges

    def _apply_to(self, state: BreakerState, event: FoldedEvent) -> Sequence[Edge]:
        if self.keeper is not None:
            self.keeper.keep(state.breaker, self)
        deadline = state.deadline
        edges = apply(state, event)
        if state.deadline not in (NEVER, deadline):
            heapq.heappush(self._deadlines, (state.deadline, state.breaker))
        return edges

    def _begin(self, event: BreakerEvent) -> BreakerState:
        if self.keeper is not None:
            self.keeper.keep(event.breaker, self)
        state = initial_state(event)
        expected = None if self.expected is None else self.expected.get(event.breaker)
        if expected is not None:
            expected.assume(state)
            state = expected
        self.breakers[event.breaker] = state
        if state.deadline != NEVER:
            heapq.heappush(self._deadlines, (state.deadline, state.breaker))
        return state


def initial_state(event: FoldedEvent) -> BreakerState:
    """The state of a breaker before its first event, which is a configuration or a checkpoint.

    Raises:
        FoldError: The event is of another kind.
    """
    if isinstance(event, BreakerConfigured):
        return BreakerState(event.breaker, config_in(event))
    if isinstance(event, Checkpoint):
        return restore(event)
    raise FoldError(
        f"event {event.seq} ({event.kind}): its breaker was never configured in this log"
    )
