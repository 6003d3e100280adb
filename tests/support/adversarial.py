"""Random logs of all possible events in any order, as no real service would write them."""

import random
from datetime import UTC, datetime

from recloser.core.checkpoint_parts import pieces_of
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    ForcedClosed,
    ForcedOpen,
    LogOpened,
    ModeChanged,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.core.fold import apply
from recloser.core.log_fold import LogFold
from recloser.core.state import dump, probes_of
from recloser.errors import FoldError

SECOND = 10**9
WALL = datetime(2000, 1, 1, tzinfo=UTC)
PAUSES = (0, 0, 0, 1, SECOND // 1000, SECOND // 2 - 1, SECOND // 2, SECOND, SECOND + 1, 31 * SECOND)
OUTCOMES = (CallSucceeded, CallSucceeded, CallFailed, CallFailed, CallIgnored)


class AdversarialLog:
    """Draws events one after another, and adds the edges that a fold computes from them.

    Args:
        seed: Seed of the random events.
        configs: Settings of breakers; the first ones are those at the beginning.
        breakers: The number of breakers.

    Attributes:
        events: The log so far.
        edges: Its edges.
    """

    def __init__(self, seed, configs, breakers):
        self.events, self.edges = [], []
        self._random = random.Random(seed)
        self._configs, self._fold = configs, LogFold()
        self._names = [f"b{number}" for number in range(breakers)]
        self._failing = 0.3
        self.write(LogOpened, 0, 1, 1, 1, WALL, 0, "", "", 0, "")
        for name, config in zip(self._names, configs, strict=False):
            self.write(BreakerConfigured, 0, name, config.to_mapping())

    @property
    def breakers(self):
        return self._fold.breakers

    def grow(self, steps):
        """Draw ``steps`` events, and write those that are possible in the current state."""
        for _ in range(steps):
            self._step(self._random.random(), self._next_at())
        return self

    def _next_at(self):
        due = self._fold.next_deadline
        if due is not None and self._random.random() < 0.3:
            return max(self._fold.at, due - self._random.randrange(2))
        return self._fold.at + self._random.choice(PAUSES)

    def _step(self, chance, at):
        fold = self._fold
        if chance < 0.06:
            self.write(ClockTicked, at, WALL, at)
        elif chance < 0.08:
            session = fold.opened.session + self._random.randrange(2)
            self.write(LogOpened, at, 1, 1, session, WALL, at, "", "", 0, "")
        else:
            name = self._random.choice(self._names)
            state = fold.breakers.get(name)
            if state is None:
                self.write(
                    BreakerConfigured, at, name, self._random.choice(self._configs).to_mapping()
                )
            elif chance < 0.12:
                self._operate(at, name)
            elif chance < 0.14:
                for piece in pieces_of(dump(state)):
                    self.write(Checkpoint, at, name, *piece)
            else:
                self._traffic(at, name, state)

    def _operate(self, at, name):
        kind = self._random.choice(
            (ForcedOpen, ForcedClosed, Reset, Reset, ModeChanged, BreakerConfigured)
        )
        if kind is ModeChanged:
            self.write(
                kind, at, name, self._random.choice(("enforce", "enforce", "shadow", "disabled"))
            )
        elif kind is BreakerConfigured:
            self.write(kind, at, name, self._random.choice(self._configs).to_mapping())
        else:
            self.write(kind, at, name, "me", "because")

    def _traffic(self, at, name, state):
        chance, draw = self._random.random(), self._random
        epoch = state.epoch
        if chance < 0.02:
            self._failing = draw.choice((0, 0.02, 0.3, 0.6, 1))
        if chance < 0.05:
            self.write(CallRejected, at, name, Reason.COOLDOWN_ACTIVE, None, draw.choice((1, 7)))
            return
        if chance < 0.4:
            admitted = state.probes_admitted if state.half_open_at >= 0 else 0
            for begun in (epoch, epoch + 1, epoch + 2):
                probe = admitted + 1 if begun == epoch else 1
                if self.write(ProbeAdmitted, at, name, begun, probe):
                    return
        kind = draw.choice(OUTCOMES) if draw.random() < 0.2 else CallSucceeded
        if draw.random() < self._failing:
            kind = CallFailed
        epoch = max(0, epoch - draw.choice((0, 0, 0, 0, 0, 1, 2)))
        probes = list(probes_of(state))
        probe = draw.choice([*probes, *probes, 0, 1]) if probes else 0
        fields = [name, epoch, draw.choice((0, 1, 2 * SECOND)), probe]
        if kind is CallSucceeded and not probe and draw.random() < 0.2:
            fields.append(draw.choice((2, 3, 1000)))
        self.write(kind, at, *fields)

    def write(self, kind, at, *fields):
        """Write an event and its edges; return False if it is impossible in the current state."""
        fold = self._fold
        event = kind(fold.seq + 1, at, *fields)
        state = fold.breakers.get(getattr(event, "breaker", None))
        if state is not None and event.kind != "checkpoint":
            try:
                apply(state.copy(), event)
            except FoldError:
                return False
        self.events.append(event)
        for edge in fold.apply(event):
            self.events.append(edge)
            self.edges.append(edge)
            fold.apply(edge)
        return True
