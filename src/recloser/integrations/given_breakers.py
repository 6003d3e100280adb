"""Check the ``breakers`` argument of an integration."""

from collections.abc import Mapping, Sequence
from typing import cast

from recloser.core.validation import shown
from recloser.errors import ConfigError
from recloser.live.breaker import CircuitBreaker


def checked_breakers(
    breakers: object,
) -> Mapping[str, CircuitBreaker] | CircuitBreaker:
    """Return the argument if it is a mapping of breakers or one breaker.

    Raises:
        ConfigError: It is something else, such as the transport, which is the next argument.
    """
    has_names = hasattr(type(breakers), "__getitem__") and not isinstance(breakers, Sequence)
    if isinstance(breakers, type) or not (isinstance(breakers, CircuitBreaker) or has_names):
        raise ConfigError(
            "breakers must be a CircuitBreaker, or breakers by name such as Breakers(), not "
            f"{shown(breakers)}"
        )
    return cast("Mapping[str, CircuitBreaker] | CircuitBreaker", breakers)
