"""The breaker that recorded calls drive."""

from typing import ClassVar

from recloser.live.breaker import CircuitBreaker


class DrivenBreaker(CircuitBreaker):
    """A live breaker to which outcomes are reported; it never classifies errors.

    Dotted names in its settings are not resolved, because the libraries that they name may be
    installed only where the log was written.
    """

    __slots__ = ()

    _classifies: ClassVar[bool] = False
