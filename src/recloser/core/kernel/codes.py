"""The numbers by which the kernel names states, outcomes, rules and answers, and its bounds.

``codes.pxd`` gives the same numbers to the compiled modules, as constants of C.
"""

from enum import IntEnum
from typing import Final

CLOSED, OPEN, HALF_OPEN = range(3)
"""Values of ``State.where``."""


class OutcomeCode(IntEnum):
    """Kinds of events about calls, and the ways in which an imported call ended.

    Attributes:
        SUCCEEDED: The call succeeded.
        FAILED: The call failed.
        IGNORED: The call ended, but its outcome counts neither for nor against the breaker.
        REJECTED: The breaker did not let the call through.
        ADMITTED: The breaker let a probe through, which has not ended yet.
        OTHER: The event is of a kind that the kernel does not know; it passes over such rows.
        UNKNOWN: The log of imported calls does not say how the call ended.
    """

    SUCCEEDED = 0
    FAILED = 1
    IGNORED = 2
    REJECTED = 3
    ADMITTED = 4
    OTHER = 5
    UNKNOWN = 6


# Plain integers: comparing them is quicker than comparing members of an enum, compiled or not.
SUCCEEDED: Final[int] = OutcomeCode.SUCCEEDED.value
FAILED: Final[int] = OutcomeCode.FAILED.value
IGNORED: Final[int] = OutcomeCode.IGNORED.value
REJECTED: Final[int] = OutcomeCode.REJECTED.value
ADMITTED: Final[int] = OutcomeCode.ADMITTED.value
UNKNOWN: Final[int] = OutcomeCode.UNKNOWN.value
OTHER: Final[int] = OutcomeCode.OTHER.value

NO_RULE: Final = 0
"""Returned where no rule fires."""

(
    CONSECUTIVE_FAILURES,
    WINDOW_FAILURES,
    FAILURE_RATE,
    SLOW_CALL_RATE,
    COOLDOWN,
    PROBE_FAILED,
    PROBE_TIMEOUT,
    PROBE_SUCCESSES,
    PROBE_WINDOW,
    HALF_OPEN_TIMEOUT,
) = range(1, 11)
"""Rules; a function that finds that one fires returns its number."""

FUTURE_EPOCH, ADMITS_NO_PROBE, NO_PLACE_FOR_A_PROBE, WRONG_PROBE_NUMBER = (-1, -2, -3, -4)
"""Returned by ``step`` for an event that cannot have happened."""

ALLOWED, PROBE, COOLING, FORCED, EXHAUSTED, DISABLED = range(6)
"""Answers of ``decide``."""

ASKS_OUTCOME, ASKS_WINDOW, IS_DUE, ASKS_ALL = (-5, -6, -7, -8)
"""Returned by ``simulate`` where it needs an answer from its caller."""

NEVER: Final = (1 << 63) - 1
"""A time or duration that is never reached, in nanoseconds."""

SECOND: Final = 1_000_000_000
"""Nanoseconds per second."""

FITS: Final = 1 << 31
"""Products of two numbers below this fit into 64 bits."""

GROUP: Final = 1 << 62
"""Added to the count of a group of outcomes in a window; the code of an outcome is below it."""

BUCKET: Final = 6
"""Numbers per second of a window: second, first and last ``seq``, calls, failures, slow calls."""
