"""The states that breakers hold, whichever fold they are those of.

A breaker keeps the one object that it was made with. So where another fold is to be gone by, that
object takes on the other state and is put in its place.
"""

from collections.abc import Sequence

from attrs import evolve

from recloser.core.events import BreakerConfigured, Checkpoint
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState, dump


class Faces:
    """The state that each breaker holds, by its name."""

    def __init__(self) -> None:
        self._faces: dict[str, BreakerState] = {}

    def of(self, breaker: str) -> BreakerState | None:
        """The state that a breaker holds; None if there is no such breaker."""
        return self._faces.get(breaker)

    def show(self, fold: LogFold) -> None:
        """Make the states that breakers hold those of a fold, and the fold's own."""
        expected = fold.expected or {}
        for name, state in fold.breakers.items():
            face = self._faces.setdefault(name, expected.get(name, state))
            if face is not state:
                face.assume(state)
                fold.breakers[name] = face

    def apart_from(self, fold: LogFold) -> LogFold:
        """A fold of one's own, with the same states; neither changes those of the other."""
        own = LogFold()
        assert fold.opened is not None
        # It may be done again after an interruption: nothing is shared with what breakers hold.
        fold.breakers = {name: state.copy() for name, state in fold.breakers.items()}
        own.apply(evolve(fold.opened, seq=fold.seq + 1, at=fold.at, wall=fold.utc(fold.at)))
        for name, state in fold.breakers.items():
            own.apply(Checkpoint(own.seq + 1, fold.at, name, dump(state)))
        return own

    def unknown_to(self, fold: LogFold) -> Sequence[BreakerConfigured]:
        """The settings of the breakers that a fold does not know."""
        return [
            BreakerConfigured(0, 0, name, face.config.to_mapping())
            for name, face in self._faces.items()
            if name not in fold.breakers
        ]
