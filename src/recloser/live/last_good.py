"""The last state of a fold that is known to be whole, and what was recorded since.

An exception of the host can come up between any two bytecodes, if a signal handler or
``PyThreadState_SetAsyncExc`` raises it. In the middle of a change it may leave states half changed.
These are then folded again, from the copies kept here and the events recorded since.
"""

from typing import Final, TypeAlias

from recloser.core.events import Event
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState
from recloser.live.pending_calls import Outcomes

Recorded: TypeAlias = "Event | Outcomes"

_FEWEST: Final = 64
_OUTCOMES_PER_EVENT: Final = 8


class LastGood:
    """Copies of the states that changed since a whole state, and the events recorded since.

    Only breakers that changed since then have a copy, which is made before their first change. So a
    log of 100,000 idle breakers keeps no copies.

    Args:
        fold: The fold, which is whole now.

    Attributes:
        events: What was recorded since, in the order of the log. A change becomes final when this
            list is extended.
        size: The number of these events; each ``Outcomes`` counts as all its outcomes.
    """

    __slots__ = ("_limit", "_mark", "_states", "events", "size")

    def __init__(self, fold: LogFold) -> None:
        self._mark = fold.mark()
        self._states: dict[str, BreakerState | None] = {}
        self.events: list[Recorded] = []
        self.size = 0
        self._limit = _FEWEST

    @property
    def is_full(self) -> bool:
        """Whether new copies would cost less than folding all events since the old ones."""
        return self.size > self._limit

    def keep(self, breaker: str, fold: LogFold) -> None:
        """Keep a copy of a breaker's state, which is about to change.

        Args:
            breaker: The breaker's name.
            fold: The fold that has the state.
        """
        if breaker in self._states:
            return
        state = fold.breakers.get(breaker)
        self._states[breaker] = None if state is None else state.copy()
        if state is not None and state.window is not None:
            # A copy of a large window has to serve for more events.
            self._limit += state.window.length // _OUTCOMES_PER_EVENT

    def rebuilt(self) -> LogFold:
        """Return a new fold of all breakers that changed, as the recorded events have left them.

        A thread that is in the middle of a change itself may call this without the lock, while another
        thread goes on. So the events are read before the copies: of every breaker that they change, a
        copy was kept before.
        """
        events = tuple(self.events)
        copies = {
            name: state.copy() for name, state in dict(self._states).items() if state is not None
        }
        fold = LogFold.resumed(self._mark, copies)
        for recorded in events:
            if isinstance(recorded, Outcomes):
                fold.apply_outcomes(recorded)
            else:
                fold.apply(recorded)
        return fold

    def restore(self, fold: LogFold) -> None:
        """Return a fold that may be half changed to the state after the recorded events.

        Args:
            fold: The fold.
        """
        fold.return_to(self.rebuilt(), tuple(self._states))
