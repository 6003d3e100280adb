"""One configuration for all breakers of equal settings, each of which may be given its own."""

from typing import Any, Final

import attrs

from recloser.core.config import CircuitBreakerConfig

_MOST: Final = 256
_Values = tuple[Any, ...]

_pool: Final[dict[_Values, CircuitBreakerConfig]] = {}


def pooled(config: CircuitBreakerConfig) -> CircuitBreakerConfig:
    """The first configuration of this process that has the same settings.

    A configuration takes 2 KB with all that is derived from it, several times as much as a breaker.
    One that names predicates, or what is yet to be imported, stays the one that was given: such names
    may mean something else each time.
    """
    if config.failure_result is not None or not all(
        type(classifier) is type for classifier in (*config.record, *config.ignore)
    ):
        return config
    if len(_pool) >= _MOST:
        _pool.clear()
    return _pool.setdefault(_typed_values(config), config)


def _typed_values(settings: Any) -> _Values:
    """The values of some settings with their types: 30 and 30.0 are written differently."""
    values = [getattr(settings, field.name) for field in attrs.fields(type(settings))]
    held = [_typed_values(value) if attrs.has(type(value)) else value for value in values]
    return (type(settings), *map(type, values), *held)
