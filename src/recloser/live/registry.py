"""The registry of breakers: one breaker per name, made on first use."""

from collections import defaultdict
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from itertools import count
from typing import Final, NoReturn, TypeVar, overload

from recloser.clock import Clock
from recloser.core.config import CircuitBreakerConfig, Settings
from recloser.core.validation import as_text, checked_whole
from recloser.errors import MisuseError
from recloser.live.arguments import (
    checked_clock,
    checked_config,
    checked_config_source,
    checked_log,
    checked_name,
)
from recloser.live.breaker import CircuitBreaker
from recloser.live.listeners import Listener, subscriptions
from recloser.live.live_log import Log
from recloser.live.memory_log import NoLog
from recloser.live.resting import can_rest

OTHERS: Final = "(others)"
"""The name of the breaker that a full registry returns for all further names."""

_DEFAULT: Final = CircuitBreakerConfig()
_Default = TypeVar("_Default")


class Breakers(Mapping[str, CircuitBreaker]):
    """Breakers on one log, each made at its first use: ``breakers["payments"]``.

    Only ``breakers[name]`` makes a breaker; ``get``, ``in`` and the views make none.

    Args:
        config: The settings of each breaker, as a configuration or a mapping of settings, or a
            function that returns them for a name; by default those of ``CircuitBreakerConfig()``. The
            function runs under no lock and may use the registry itself. If several threads ask for a
            new name at once, it may be called for each of them, and all get the same breaker.
        log: The log of all breakers; without one, nothing is recorded.
        clock: The clock that times the breakers; by default the log's clock, or else the system's.
        listeners: One or several listeners of the events of each breaker.
        max_size: How many names have a breaker of their own; further names share the breaker
            ``(others)``, so that names that come from strangers can't fill the memory. None for no
            limit.

    Raises:
        ConfigError: An argument is invalid.
    """

    def __init__(
        self,
        config: Settings | Callable[[str], Settings] | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
        listeners: Iterable[Listener] | Listener | None = (),
        max_size: int | None = None,
    ) -> None:
        self._config = checked_config_source(config)
        self._max_size: int | None = checked_whole("max_size", max_size, 1, optional=True)
        self._log = checked_log(log)
        self._clock = checked_clock(clock)
        self._listeners = tuple(each.listener for each in subscriptions(listeners))
        # No lock guards these dictionaries: a signal handler or a destructor may ask for a breaker in
        # the middle of anything, and a forked child could wait for a thread that it does not have.
        # Each step that several threads may take at once is one operation of a dictionary with exact
        # strings as keys, which no other thread can split.
        self._breakers: dict[str, CircuitBreaker] = {}
        self._places: defaultdict[str, int] = defaultdict(count().__next__)

    def __getitem__(self, name: str) -> CircuitBreaker:
        if type(name) is str:
            breaker = self._breakers.get(name)
            if breaker is not None:
                return breaker
        name = checked_name(name)
        if self._is_full_for(name):
            name = OTHERS
        breaker = self._breakers.get(name)
        return self._make(name) if breaker is None else breaker

    def _make(self, name: str) -> CircuitBreaker:
        config = self._config(name) if callable(self._config) else self._config
        settings = None if config is None else checked_config(config)
        if not self._has_place(name):
            return self[OTHERS]
        log: Log | None = self._log
        if type(log) is NoLog and not self._listeners and can_rest(settings or _DEFAULT):
            log = None  # a breaker that rests shares nothing with the others
        made = CircuitBreaker(
            name,
            settings,
            log=log,
            clock=self._clock,
            listeners=self._listeners,
        )
        return self._breakers.setdefault(name, made)

    def _is_full_for(self, name: str) -> bool:
        """Return whether a new name can have no breaker of its own any more."""
        most = self._max_size
        return most is not None and name not in self._places and len(self._places) >= most

    def _has_place(self, name: str) -> bool:
        """Return whether a name may have a breaker of its own, and reserve a place for it."""
        if self._max_size is None or name == OTHERS:
            return True
        if self._places[name] < self._max_size:
            return True
        self._places.pop(name, None)  # its number is past the last place
        return False

    @overload
    def get(self, name: str, /) -> CircuitBreaker | None: ...

    @overload
    def get(
        self, name: str, /, default: CircuitBreaker | _Default
    ) -> CircuitBreaker | _Default: ...

    def get(self, name: str, /, default: object = None) -> object:
        """Return the breaker of a name if there is one already, or else ``default``."""
        return self._breakers.get(as_text(name), default)

    def items(self) -> ItemsView[str, CircuitBreaker]:
        """Return a view of the names and breakers that exist."""
        return _Items(self)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            "a registry of breakers can't be copied or pickled, as its breakers are shared by all "
            "that use them; make it in each process"
        )

    def __contains__(self, name: object) -> bool:
        return as_text(name) in self._breakers

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._breakers))

    def __len__(self) -> int:
        return len(self._breakers)


class _Items(ItemsView[str, CircuitBreaker]):
    """The items of a registry; looking for an item makes no breaker."""

    _mapping: Breakers

    def __contains__(self, item: object) -> bool:
        return any(item == known for known in self)
