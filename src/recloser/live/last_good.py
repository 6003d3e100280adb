"""The last state of a fold that is known to be whole, and what was recorded since.

An exception of the host's can come up between any two bytecodes: a signal handler raises one, or
``PyThreadState_SetAsyncExc`` does. Where it comes up in the middle of a change, states may be half
changed. They are then folded again, from the copies kept here and the events recorded since.
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
    """Copies of the states that changed since a point where all were whole, and the events since.

    Only breakers that changed since then have a copy, which is made before the first change. So a
    log of 100,000 idle breakers keeps no copies.

    Args:
        fold: The fold to keep, which is whole now.

    Attributes:
        events: What was recorded since, in the order of the log. To extend this list is what makes
            a change final.
        size: The number of these events; each ``Outcomes`` counts as all that it holds.
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
        """Whether so much was recorded since that new copies cost less than what is kept."""
        return self.size > self._limit

    def keep(self, breaker: str, fold: LogFold) -> None:
        """Keep a copy of a breaker's state, which is about to change."""
        if breaker in self._states:
            return
        state = fold.breakers.get(breaker)
        self._states[breaker] = None if state is None else state.copy()
        if state is not None and state.window is not None:
            # A copy of a large window has to serve for more events.
            self._limit += state.window.length // _OUTCOMES_PER_EVENT

    def rebuilt(self) -> LogFold:
        """A new fold of all breakers that changed, as the events recorded so far have left them.

        This is also what a thread may look at that is itself in the middle of a change, while
        others may go on. So the events are read first: of what they change, a copy was kept before.
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
        """Bring a fold that may be half changed back to what the recorded events say."""
        fold.return_to(self.rebuilt(), tuple(self._states))
