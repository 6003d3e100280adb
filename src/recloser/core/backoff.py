"""Backoff: how long a breaker cools, the more often it opens.

Jitter is drawn from a generator that counts instead of remembering: the draw is a hash of the seed,
the breaker's name and the number of the opening. So a replay draws the same, in any order.
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

# Exact as far as a wait can be told in nanoseconds, and as quick for the millionth opening in a row
# as for the second; what is larger than any number is larger than any bound.
_SIXTY_DIGITS: Final = Context(prec=60, rounding=ROUND_FLOOR, traps=[])


@attrs.frozen
class Constant:
    """Every opening cools for as long as the first.

    Attributes:
        jitter: ``full`` cools for anything up to that, ``equal`` for at least half of it.
        seed: Breakers of different seeds draw different jitter.
    """

    jitter: Jitter = attrs.field(default="none", converter=as_text, validator=_jitter)
    seed: int = attrs.field(default=0, converter=as_whole, validator=whole(0))

    def wait_ns(self, base_ns: int, _opening_in_a_row: int) -> int:
        """How long to cool before jitter."""
        return base_ns


@attrs.frozen
class Exponential:
    """Every opening in a row cools ``factor`` times as long as the one before.

    Attributes:
        factor: At least 1.
        max_seconds: It never cools for longer than this.
        jitter: ``full`` cools for anything up to that, ``equal`` for at least half of it.
        seed: Breakers of different seeds draw different jitter.
    """

    factor: Rate = attrs.field(default=2, converter=as_rate, validator=factor)
    max_seconds: Seconds = attrs.field(
        default=MAX_SECONDS, converter=as_seconds, validator=seconds()
    )
    jitter: Jitter = attrs.field(default="none", converter=as_text, validator=_jitter)
    seed: int = attrs.field(default=0, converter=as_whole, validator=whole(0))

    def wait_ns(self, base_ns: int, opening_in_a_row: int) -> int:
        """``min(max, base * factor ** (k - 1))`` for the k-th opening since it was last closed."""
        most = nanoseconds(self.max_seconds)
        times = exact(self.factor)
        if base_ns == 0:
            return 0
        # No operators: they ask for the thread's context and so may set a context variable, which
        # a ``__del__`` that comes in between makes a crash of CPython 3.11 (see ``contexts``).
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
    """How long a breaker cools.

    Args:
        backoff: The rule.
        base_ns: How long the first opening cools.
        breaker: Its name.
        opening: How often it has opened in its life, from 1: what the jitter is drawn by.
        in_a_row: How often since it was last closed, from 1.
    """
    wait = backoff.wait_ns(base_ns, in_a_row)
    if backoff.jitter == "none":
        return wait
    least = wait - wait // 2 if backoff.jitter == "equal" else 0
    return least + _draw(f"{backoff.seed}\x1f{breaker}\x1f{opening}", wait - least)


def cooldown_key(backoff: Backoff, *, opening: int, in_a_row: int) -> tuple[int, int]:
    """What of its openings until now the further cooldowns of a breaker depend on."""
    return (
        0 if backoff.jitter == "none" else opening,
        in_a_row if isinstance(backoff, Exponential) else 0,
    )


def _draw(key: str, most: int) -> int:
    """A whole number from 0 to ``most``, evenly, the same for the same key."""
    digest = hashlib.sha256(key.encode()).digest()
    number = int.from_bytes(digest[: _DRAW_BITS // 8], "big")
    return number * (most + 1) >> _DRAW_BITS
