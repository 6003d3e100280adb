"""The audience of a log: who listens to its breakers, and what they are still to be told."""

import threading
from collections import deque
from collections.abc import Sequence

from recloser.events import BreakerEvent, Event, is_about_a_breaker
from recloser.listeners import Listener, hears_refusals, hears_successes, notify
from recloser.log.codec import full


class Audience:
    """The listeners of the breakers of one log.

    What happens is noted under the lock of the sequencer, and told of outside it.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._untold: deque[tuple[Listener, BreakerEvent]] | None = None  # while nobody listens
        self._telling = threading.Lock()

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def add(self, breaker: str, listener: Listener) -> None:
        """Have the listener told of the events about a breaker from now on; under the lock.

        A listener that hears of them already does not hear of them twice.
        """
        if self._untold is None:
            self._untold = deque()
        listeners = self._listeners.get(breaker, ())
        if not any(known is listener for known in listeners):
            self._listeners[breaker] = (*listeners, listener)

    def awaits_successes(self, breaker: str) -> bool:
        """Whether somebody is to be told of each success of a breaker."""
        return any(map(hears_successes, self._listeners.get(breaker, ())))

    def awaits_refusals(self, breaker: str) -> bool:
        """Whether somebody is to be told of each refusal of a breaker at once."""
        return any(map(hears_refusals, self._listeners.get(breaker, ())))

    def note(self, events: Sequence[Event]) -> None:
        """Take in events that were recorded, to be told of in this order."""
        if self._untold is None:
            return
        for event in events:
            if is_about_a_breaker(event):
                for listener in self._listeners.get(event.breaker, ()):
                    if event.kind != "call_succeeded" or hears_successes(listener):
                        self._untold.append((listener, full(event)))

    def tell(self) -> None:
        """Tell the listeners in the order of the log; whoever is telling already tells this too."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    notify(*self._untold.popleft())
            finally:
                self._telling.release()

    def after_fork(self) -> None:
        """In a forked child: whoever was telling is not here to go on."""
        self._telling = threading.Lock()
