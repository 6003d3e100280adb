"""Backoff: how the cooldown of a breaker grows when it opens again and again, and its jitter.

Jitter needs no random generator with a state: it is computed from a hash of the seed, the breaker's
name and the number of the opening. So a replay draws the same jitter, in any order.
"""

import hashlib
from decimal import ROUND_FLOOR, Context
from typing import Final, Literal, TypeAlias

import attrs

from recloser.core.validation import (
    MAX_SECONDS,
    Rate,
    Seconds,
    as_rate,
    as_seconds,
    as_text,
    as_whole,
    exact,
    factor,
    nanoseconds,
    one_of,
    seconds,
    whole,
)

Jitter: TypeAlias = Literal["none", "full", "equal"]

_jitter: Final = one_of("none", "full", "equal")
_DRAW_BITS: Final = 64

# Sixty digits are exact for any cooldown in nanoseconds, and the millionth opening in a row takes no
# longer than the second. Without traps an overflow gives infinity, which is above any maximum.
_SIXTY_DIGITS: Final = Context(prec=60, rounding=ROUND_FLOOR, traps=[])


@attrs.frozen
class Constant:
    """Every opening has the same cooldown, before jitter.

    Attributes:
        jitter: ``none``; ``full`` for any part of the cooldown; ``equal`` for at least half of it.
        seed: Breakers with different seeds draw different jitter.
    """

    jitter: Jitter = attrs.field(default="none", converter=as_text, validator=_jitter)
    seed: int = attrs.field(default=0, converter=as_whole, validator=whole(0))

    def wait_ns(self, base_ns: int, _opening_in_a_row: int) -> int:
        """The cooldown before jitter, in nanoseconds."""
        return base_ns


@attrs.frozen
class Exponential:
    """Every opening in a row has a cooldown ``factor`` times as long as the one before.

    Attributes:
        factor: At least 1.
        max_seconds: The longest cooldown.
        jitter: ``none``; ``full`` for any part of the cooldown; ``equal`` for at least half of it.
        seed: Breakers with different seeds draw different jitter.
    """

    factor: Rate = attrs.field(default=2, converter=as_rate, validator=factor)
    max_seconds: Seconds = attrs.field(
        default=MAX_SECONDS, converter=as_seconds, validator=seconds()
    )
    jitter: Jitter = attrs.field(default="none", converter=as_text, validator=_jitter)
    seed: int = attrs.field(default=0, converter=as_whole, validator=whole(0))

    def wait_ns(self, base_ns: int, opening_in_a_row: int) -> int:
        """The cooldown before jitter, in nanoseconds: ``min(max, base * factor ** (k - 1))``.

        Args:
            base_ns: The cooldown of the first opening.
            opening_in_a_row: ``k``: how often the breaker has opened since it was last closed.
        """
        most = nanoseconds(self.max_seconds)
        times = exact(self.factor)
        if base_ns == 0:
            return 0
        # Methods of a context and not operators. Operators look up the thread's context, which may
        # set a context variable, and a `__del__` that runs meanwhile can crash CPython 3.11 (see
        # `recloser.process.contexts`).
        exactly = _SIXTY_DIGITS.copy()
        growth = exactly.divide(times.numerator, times.denominator)
        wait = exactly.multiply(base_ns, exactly.power(growth, opening_in_a_row - 1))
        if not exactly.compare(wait, most).is_signed():
            return most
        return int(exactly.to_sci_string(exactly.quantize(wait, 1)))


Backoff: TypeAlias = Constant | Exponential


def cooldown_ns(
    backoff: Backoff, base_ns: int, breaker: str, *, opening: int, in_a_row: int
) -> int:
    """The cooldown of one opening of a breaker, in nanoseconds.

    Args:
        backoff: How cooldowns grow, and their jitter.
        base_ns: The cooldown of the first opening, before jitter.
        breaker: Name of the breaker.
        opening: How often it has opened in its life, from 1; the jitter depends on this.
        in_a_row: How often it has opened since it was last closed, from 1.
    """
    wait = backoff.wait_ns(base_ns, in_a_row)
    if backoff.jitter == "none":
        return wait
    least = wait - wait // 2 if backoff.jitter == "equal" else 0
    return least + _draw(f"{backoff.seed}\x1f{breaker}\x1f{opening}", wait - least)


def cooldown_key(backoff: Backoff, *, opening: int, in_a_row: int) -> tuple[int, int]:
    """A key that is equal for two breakers whose next cooldowns are the same.

    Args:
        backoff: The backoff of both.
        opening: How often the breaker has opened in its life.
        in_a_row: How often it has opened since it was last closed.
    """
    return (
        0 if backoff.jitter == "none" else opening,
        in_a_row if isinstance(backoff, Exponential) else 0,
    )


def _draw(key: str, most: int) -> int:
    """An evenly distributed integer from 0 to ``most``, always the same for the same key."""
    digest = hashlib.sha256(key.encode()).digest()
    number = int.from_bytes(digest[: _DRAW_BITS // 8], "big")
    return number * (most + 1) >> _DRAW_BITS
