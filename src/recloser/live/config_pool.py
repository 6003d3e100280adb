"""One shared configuration for all breakers of equal settings."""

from typing import Any, Final

import attrs

from recloser.core.config import CircuitBreakerConfig

_MAX_POOLED: Final = 256
_Values = tuple[Any, ...]

_pool: Final[dict[_Values, CircuitBreakerConfig]] = {}


def pooled(config: CircuitBreakerConfig) -> CircuitBreakerConfig:
    """Return the first configuration of this process that has the same settings.

    A configuration takes 2 KB with everything that is derived from it, several times as much as a
    breaker. A configuration that names predicates, or types that are still to be imported, is returned
    itself: such names may mean something else each time.

    Args:
        config: The configuration.
    """
    if config.failure_result is not None or not all(
        type(classifier) is type for classifier in (*config.record, *config.ignore)
    ):
        return config
    if len(_pool) >= _MAX_POOLED:
        _pool.clear()
    return _pool.setdefault(_typed_values(config), config)


def _typed_values(settings: Any) -> _Values:
    """Return the values of settings with their types, as a log shows 30 and 30.0 differently."""
    values = [getattr(settings, field.name) for field in attrs.fields(type(settings))]
    held = [_typed_values(value) if attrs.has(type(value)) else value for value in values]
    return (type(settings), *map(type, values), *held)
