"""The breaker that recorded calls drive."""

from typing import ClassVar

from recloser.live.breaker import CircuitBreaker


class DrivenBreaker(CircuitBreaker):
    """A live breaker that outcomes are reported to, and which never classifies one.

    Dotted names in its settings are not resolved: the libraries that they are of may be installed
    only where the log was written.
    """

    __slots__ = ()

    _classifies: ClassVar[bool] = False
