"""Warps: faults that the clocks of a recording can have.

A wall warp makes the wall clock wrong. The wall clock only dates what people see and decides
nothing, so every edge must stay as it is. A monotonic warp makes the elapsed time wrong that
decisions depend on, so it may change the history.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from attrs import frozen

from recloser.core.moments import after
from recloser.core.validation import NS_PER_SECOND
from recloser.errors import ConfigError

WrongWall: TypeAlias = Callable[[int, datetime], datetime]
"""Returns a wrong wall time from ``at``, in nanoseconds, and the right wall time."""

WrongMonotonic: TypeAlias = Callable[[int, str], int]
"""Returns a wrong ``at`` from the right ``at``, both in nanoseconds, and the host."""

PPM: Final = 1_000_000
_DAY_NS: Final = 86_400 * NS_PER_SECOND
_MASK: Final = (1 << 64) - 1
_DRAW_BITS: Final = 32
_LIMIT: Final = 1 << 63
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "min": 60 * NS_PER_SECOND,
    "h": 3_600 * NS_PER_SECOND,
    "d": _DAY_NS,
    "y": 365 * _DAY_NS,
}


@frozen
class WallWarp:
    """A wrong wall clock.

    Attributes:
        begin: Returns a function that applies the fault to one stream of events.
    """

    begin: Callable[[], WrongWall]


@frozen
class OriginWarp:
    """A monotonic clock that counts from another origin; elapsed times stay right.

    Attributes:
        ns: Nanoseconds that are added to each reading.
    """

    ns: int


@frozen
class MonotonicWarp:
    """A monotonic clock with wrong elapsed times.

    Attributes:
        begin: Returns a function that applies the fault to one stream of events.
        slack_ns: Nanoseconds within which two times may change their order; None if they never do.
    """

    begin: Callable[[], WrongMonotonic]
    slack_ns: int | None = None


Warp: TypeAlias = WallWarp | OriginWarp | MonotonicWarp


def parse_warp(text: str) -> Warp:
    """Parse a warp such as ``wall-shift=+1h``.

    Raises:
        ConfigError: The text is not a warp; the message names the text and the right form.
    """
    name, _, value = text.partition("=")
    if name not in _WARPS:
        raise ConfigError(f"there is no warp {text!r}; the warps are {', '.join(FORMS)}")
    parse, form = _WARPS[name]
    try:
        return parse(value)
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"the warp {text!r} can't be read; write it as {form}") from error


def parse_warps(texts: Iterable[str]) -> Sequence[Warp]:
    """Parse several texts, each with one or more warps separated by commas.

    Raises:
        ConfigError: A text is not a warp; the message names the text and the right form.
    """
    return [parse_warp(part.strip()) for text in texts for part in text.split(",")]


def bending(warps: Iterable[Warp]) -> Sequence[MonotonicWarp]:
    """Return the warps that change elapsed times."""
    return [warp for warp in warps if isinstance(warp, MonotonicWarp)]


def shift(ns: int) -> WallWarp:
    """A wall clock that is ahead from the beginning.

    Args:
        ns: Nanoseconds by which it is ahead.
    """
    return WallWarp(lambda: lambda _at, wall: after(wall, ns))


def drift(ppm: int) -> MonotonicWarp:
    """A monotonic clock that runs too fast, from the log's first event on.

    Args:
        ppm: Microseconds that it gains per second; negative if it runs too slow.
    """

    def begin() -> WrongMonotonic:
        first: int | None = None

        def wrong_time(at: int, _host: str) -> int:
            nonlocal first
            if first is None:
                first = at
            return at + (at - first) * ppm // PPM

        return wrong_time

    return MonotonicWarp(begin)


def jitter(ns: int, seed: int = 0) -> MonotonicWarp:
    """A monotonic clock with a random error in each reading.

    The error depends only on the seed and the right reading, so it is reproducible.

    Args:
        ns: The largest error in either direction, in nanoseconds.
        seed: Selects the errors.
    """
    key = _mixed(seed)

    def wrong_time(at: int, _host: str) -> int:
        drawn = (_mixed(key ^ at & _MASK) >> (64 - _DRAW_BITS)) - (1 << (_DRAW_BITS - 1))
        return at + (drawn * ns >> (_DRAW_BITS - 1))

    return MonotonicWarp(lambda: wrong_time, slack_ns=ns)


def host_offset(host: str, ns: int) -> MonotonicWarp:
    """A monotonic clock of one host that is ahead of those of the others.

    The host of an observed call is its label ``host``; that of any other event is its session's.

    Args:
        host: The host's name.
        ns: Nanoseconds by which its clock is ahead.
    """
    return MonotonicWarp(
        lambda: lambda at, other: at + ns if other == host else at, slack_ns=abs(ns)
    )


def log_origin(ns: int) -> MonotonicWarp:
    """A log whose own time begins later. Whole seconds must not change any decision.

    Args:
        ns: Nanoseconds by which it begins later.
    """
    return MonotonicWarp(lambda: lambda at, _host: at + ns)


def _mixed(number: int) -> int:
    """Return 64 pseudorandom bits that depend only on the number (splitmix64)."""
    number = number + 0x9E3779B97F4A7C15 & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31


def read_ns(text: str) -> int:
    """Parse a duration such as ``+1h`` or ``-0.5s``, and return nanoseconds.

    Raises:
        ValueError, InvalidOperation: The text is not a duration in whole nanoseconds.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return _whole(Decimal(number) * _UNITS.get(text[len(number) :], Decimal("NaN")))


def _read_ppm(text: str) -> int:
    """Parse a drift such as ``+500ppm`` or ``-10%``, and return parts per million."""
    for unit, ppm in (("ppm", 1), ("%", PPM // 100)):
        if text.endswith(unit):
            return _whole(Decimal(text.removesuffix(unit)) * ppm)
    raise ValueError(text)


def _whole(number: Decimal) -> int:
    """Return a number as an integer if it is whole and within what a log can hold."""
    if not abs(number) < _LIMIT or number != int(number):
        raise ValueError(number)
    return int(number)


def _wall_drift(value: str) -> Warp:
    ppm = _read_ppm(value)
    return WallWarp(lambda: lambda at, wall: after(wall, at * ppm // PPM))


def _wall_step(value: str) -> Warp:
    by, at_sign, moment = value.partition("@")
    if not at_sign:
        raise ValueError(value)
    ns = read_ns(by)
    if moment == "tick":
        return WallWarp(lambda: _stepping(ns))
    if moment.endswith(tuple("Z0123456789")):
        time = datetime.fromisoformat(moment).astimezone(UTC)
        return WallWarp(lambda: _stepped_when(lambda _at, wall: wall >= time, ns))
    due = read_ns(moment)
    return WallWarp(lambda: _stepped_when(lambda at, _wall: at >= due, ns))


def _stepping(ns: int) -> WrongWall:
    """Return a wall clock that is wrong by ``ns`` at every other reading."""
    is_wrong = False

    def wrong_time(_at: int, wall: datetime) -> datetime:
        nonlocal is_wrong
        is_wrong = not is_wrong
        return wall if is_wrong else after(wall, ns)

    return wrong_time


def _stepped_when(is_due: Callable[[int, datetime], bool], ns: int) -> WrongWall:
    was_due = False

    def wrong_time(at: int, wall: datetime) -> datetime:
        nonlocal was_due
        was_due = was_due or is_due(at, wall)
        return after(wall, ns) if was_due else wall

    return wrong_time


def _wall_freeze(value: str) -> Warp:
    if value:
        raise ValueError(value)
    return WallWarp(_frozen)


def _frozen() -> WrongWall:
    first: datetime | None = None

    def wrong_time(_at: int, wall: datetime) -> datetime:
        nonlocal first
        first = first or wall
        return first

    return wrong_time


def _leap_smear(value: str) -> Warp:
    """Lose one second evenly over the first 24 hours, as public time servers do."""
    if value:
        raise ValueError(value)
    return WallWarp(
        lambda: lambda at, wall: after(wall, -min(at, _DAY_NS) * NS_PER_SECOND // _DAY_NS)
    )


def _mono_drift(value: str) -> Warp:
    ppm = _read_ppm(value)
    if ppm <= -PPM:
        raise ValueError(value)
    return drift(ppm)


def _mono_jitter(value: str) -> Warp:
    ns, _, seed = value.partition(":")
    most = read_ns(ns)
    if most < 0:
        raise ValueError(value)
    return jitter(most, int(seed or "0"))


def _host_offset(value: str) -> Warp:
    host, colon, ns = value.rpartition(":")
    if not colon or not host:
        raise ValueError(value)
    return host_offset(host, read_ns(ns))


def _log_origin(value: str) -> Warp:
    ns = read_ns(value)
    if ns < 0:
        raise ValueError(value)
    return log_origin(ns)


_WARPS: Final[dict[str, tuple[Callable[[str], Warp], str]]] = {
    "wall-shift": (lambda value: shift(read_ns(value)), "wall-shift=+1h"),
    "wall-drift": (_wall_drift, "wall-drift=+500ppm (or +10%)"),
    "wall-step": (_wall_step, "wall-step=-5s@90s (since the log began, a time in UTC, or @tick)"),
    "wall-freeze": (_wall_freeze, "wall-freeze"),
    "leap-smear": (_leap_smear, "leap-smear"),
    "mono-origin": (lambda value: OriginWarp(read_ns(value)), "mono-origin=+104d"),
    "mono-drift": (_mono_drift, "mono-drift=+500ppm (or +10%; above -100%)"),
    "mono-jitter": (_mono_jitter, "mono-jitter=5ms:7 (from 0ns up, and a seed)"),
    "host-offset": (_host_offset, "host-offset=HOST:+80ms"),
    "log-origin": (_log_origin, "log-origin=+104d (from 0ns up)"),
}

FORMS: Final = tuple(form.partition(" ")[0] for _, form in _WARPS.values())
"""The form of each warp, as text."""
