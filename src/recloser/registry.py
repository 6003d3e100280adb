"""The registry: a breaker for each name, made on first use."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NoReturn

from recloser.breaker import CircuitBreaker
from recloser.clock import Clock
from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, MisuseError
from recloser.listeners import Listener, subscriptions
from recloser.log.memory import NoLog
from recloser.log.sequencer import Log

OTHERS: Final = "(others)"
"""The breaker that a full registry gives for all further names."""


class Breakers(Mapping[str, CircuitBreaker]):
    """Breakers on one log, each made when it is first asked for: ``breakers["payments"]``.

    Args:
        config: The settings of each, or a function that gives them for a name; by default those of
            ``CircuitBreakerConfig()``.
        log: The log of all; without one nothing is recorded.
        clock: What times them; by default the log's clock, or else the system's.
        listeners: One or several listeners of the events of each.
        max_size: So many names have a breaker of their own; further ones share the breaker
            ``(others)``, so that names out of a stranger's hands can't fill the memory. None sets
            no bound.

    Raises:
        ConfigError: ``max_size`` is not a number from 1 up, or a listener could not be called.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | Callable[[str], CircuitBreakerConfig] | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
        listeners: Iterable[Listener] | Listener | None = (),
        max_size: int | None = None,
    ) -> None:
        if max_size is not None and max_size < 1:
            raise ConfigError(f"max_size must be a whole number from 1 up, not {max_size!r}")
        self._config = config
        self._log = NoLog() if log is None else log
        self._clock = clock
        self._listeners = tuple(each.listener for each in subscriptions(listeners))
        self._max_size = max_size
        self._breakers: dict[str, CircuitBreaker] = {}
        self._making = threading.Lock()

    def __getitem__(self, name: str) -> CircuitBreaker:
        breaker = self._breakers.get(name)
        if breaker is not None:
            return breaker
        with self._making:
            if self._max_size is not None and len(self._breakers) >= self._max_size:
                name = OTHERS
            if name not in self._breakers:
                self._breakers[name] = CircuitBreaker(
                    name,
                    self._config(name) if callable(self._config) else self._config,
                    log=self._log,
                    clock=self._clock,
                    listeners=self._listeners,
                )
            return self._breakers[name]

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            "a registry of breakers can't be copied or pickled, as its breakers are shared by all "
            "that use them; make it in each process"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._breakers

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._breakers))

    def __len__(self) -> int:
        return len(self._breakers)
