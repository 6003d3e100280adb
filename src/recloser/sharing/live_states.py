"""The one state object of each breaker, whatever fold it belongs to.

A ``CircuitBreaker`` keeps the state object that it was made with. When the member switches to
another fold, that object takes over the contents of the fold's state and replaces it in the fold.
"""

from collections.abc import Sequence

from attrs import evolve

from recloser.core.events import BreakerConfigured, Checkpoint
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState, dump


class LiveStates:
    """The state objects that breakers hold, by the name of the breaker."""

    def __init__(self) -> None:
        self._states: dict[str, BreakerState] = {}

    def of(self, breaker: str) -> BreakerState | None:
        """Return the state object of a breaker; None if there is no such breaker."""
        return self._states.get(breaker)

    def adopt(self, fold: LogFold) -> None:
        """Make the breakers' state objects those of a fold, with its contents."""
        expected = fold.expected or {}
        for name, state in fold.breakers.items():
            live = self._states.setdefault(name, expected.get(name, state))
            if live is not state:
                live.assume(state)
                fold.breakers[name] = live

    def private_copy(self, fold: LogFold) -> LogFold:
        """Copy a fold, so that the copy and the original can change independently."""
        own = LogFold()
        assert fold.opened is not None
        # ``adopt`` will put the breakers' own objects into the new fold, so the original must not
        # hold them any more. If this is interrupted and repeated, copies are copied: no harm.
        fold.breakers = {name: state.copy() for name, state in fold.breakers.items()}
        own.apply(evolve(fold.opened, seq=fold.seq + 1, at=fold.at, wall=fold.utc(fold.at)))
        for name, state in fold.breakers.items():
            own.apply(Checkpoint(own.seq + 1, fold.at, name, dump(state)))
        return own

    def missing_from(self, fold: LogFold) -> Sequence[BreakerConfigured]:
        """Return the settings of the breakers here that a fold does not know."""
        return [
            BreakerConfigured(0, 0, name, state.config.to_mapping())
            for name, state in self._states.items()
            if name not in fold.breakers
        ]
