"""Sensitivity: how near to a different history production was.

For each kind of error of the monotonic hand it is looked for the smallest that makes the history a
different one. Histories are the same as long as each breaker takes the same edges (from, to and
trigger) in the same order, at whatever time; and, in a log that breakers wrote, as long as every
event could still have happened: no outcome of an epoch that has not begun, no probe that is not
admitted, no refusal by a breaker that lets calls through.

The errors 1, 2, 4, 8, … and the greatest are tried, either way; then, between the first of them that
makes a difference and the one before, the border is found by bisection. So what is claimed is this:
the error found makes a difference, and the next smaller one, by the unit of the search, makes none,
nor does any of the smaller ones that were tried. Where a difference comes and goes as the error
grows, a smaller error between two that were tried may make one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeAlias

from attrs import define, frozen

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import Event
from recloser.history.engine import refuse_settings
from recloser.history.live_driver import read_trace
from recloser.history.warping import host_of
from recloser.history.warps import MonotonicWarp, drift, host_offset, jitter
from recloser.proof.baseline import Baseline, Progress, counted, read_baseline
from recloser.proof.perturbation import PerturbedVariant, MovedEdge, PerturbedFold, PerturbedDrive, Trial
from recloser.proof.variants import DrivenVariant

Kind: TypeAlias = Literal["drift", "jitter", "host offset"]

_Direction: TypeAlias = Callable[[int], MonotonicWarp]
"""The errors of one kind and sign, by their size."""

_MOST_PPM: Final = 500_000
_MOST_US: Final = 60_000_000
_SEEDS: Final = (0, 1, 2)
_MOST_HOSTS: Final = 8
_SIZES_A_READING: Final = 8


@frozen
class Sensitivity:
    """The smallest error of one kind that changes the history.

    Attributes:
        kind: The kind of error.
        unit: What ``smallest`` and ``most`` are counted in, and so how finely it was searched.
        smallest: The error, with its sign; None where none up to ``most`` changes the history.
        most: The greatest error that was tried.
        moved: What the smallest moves.
        detail: The host whose clock is wrong, or the seed that jitter was drawn by.
    """

    kind: Kind
    unit: Literal["ppm", "us"]
    smallest: int | None
    most: int
    moved: MovedEdge | None = None
    detail: str = ""


@frozen
class SensitivityReport:
    """How near the history of one log is to another.

    Attributes:
        plain: What a plain reading of the log told.
        found: The smallest error of each kind.
    """

    plain: Baseline
    found: Sequence[Sensitivity]


def sensitivity(
    events: Iterable[Event],
    *,
    config: Settings | None = None,
    progress: Progress | None = None,
) -> SensitivityReport:
    """The smallest drift, jitter and, of a log from several hosts, offset that make a difference.

    Args:
        events: The log, to be iterated again and again.
        config: What to drive imported traffic with; by default ``CircuitBreakerConfig()``.
        progress: Told how far a reading is.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` is given for a log that breakers wrote.
    """
    refuse_settings(events, config)
    settings = CircuitBreakerConfig() if config is None else as_config(config)
    plain = read_baseline(events, settings, progress)
    search = _Search(events, plain, settings, progress)
    found = [
        search.smallest("drift", "ppm", {(sign, ""): _drifting(sign) for sign in (1, -1)}),
        search.smallest("jitter", "us", {(1, str(seed)): _jittery(seed) for seed in _SEEDS}),
    ]
    hosts = _hosts_in(events)
    if len(hosts) > 1:
        offsets = {(sign, host): _ahead(host, sign) for host in hosts for sign in (1, -1)}
        found.append(search.smallest("host offset", "us", offsets))
    return SensitivityReport(plain, found)


def _drifting(sign: int) -> _Direction:
    return lambda ppm: drift(sign * ppm)


def _jittery(seed: int) -> _Direction:
    return lambda us: jitter(us * 1000, seed)


def _ahead(host: str, sign: int) -> _Direction:
    return lambda us: host_offset(host, sign * us * 1000)


def _hosts_in(events: Iterable[Event]) -> Sequence[str]:
    """The hosts whose clocks timed the log; of many, those that timed most of it."""
    counts: Counter[str] = Counter()
    session_host = ""
    for event in events:
        host = host_of(event, session_host)
        if event.kind == "log_opened":
            session_host = event.host
        else:
            counts[host] += 1
    return sorted(host for host, _ in counts.most_common(_MOST_HOSTS))


@define
class _Border:
    """Where, in one direction, errors begin to make a difference: above ``low``, at ``high``."""

    low: int = 0
    high: int | None = None
    moved: MovedEdge | None = None

    def between(self) -> Sequence[int]:
        """Sizes that part what is between in equal parts."""
        assert self.high is not None
        width = self.high - self.low
        parts = min(width, _SIZES_A_READING)
        return sorted({self.low + width * part // parts for part in range(1, parts)})


class _Search:
    """Searches one log, with many errors tried in each reading of it."""

    def __init__(
        self,
        events: Iterable[Event],
        plain: Baseline,
        config: CircuitBreakerConfig,
        progress: Progress | None,
    ) -> None:
        self._events = events
        self._plain = plain
        self._config = config
        self._progress = progress

    def smallest(
        self, kind: Kind, unit: Literal["ppm", "us"], directions: dict[tuple[int, str], _Direction]
    ) -> Sensitivity:
        """The smallest error in any of the directions, which are told by sign and detail."""
        most = _MOST_PPM if unit == "ppm" else _MOST_US
        borders = self._bracketed(kind, directions, most)
        nearest = min((b.high for b in borders.values() if b.high is not None), default=None)
        if nearest is None:
            return Sensitivity(kind, unit, None, most)
        if nearest == 0:
            found = next(border.moved for border in borders.values() if border.high == 0)
            return Sensitivity(kind, unit, 0, most, found)
        # What begins where another has made a difference already can't be the smallest.
        borders = {
            way: border
            for way, border in borders.items()
            if border.high is not None and border.low < nearest
        }
        while any(border.between() for border in borders.values()):
            sizes = {way: border.between() for way, border in borders.items()}
            self._narrow(kind, directions, borders, sizes)
        (sign, detail), border = min(borders.items(), key=lambda item: item[1].high or 0)
        assert border.high is not None
        return Sensitivity(kind, unit, sign * border.high, most, border.moved, detail)

    def _bracketed(
        self, kind: Kind, directions: dict[tuple[int, str], _Direction], most: int
    ) -> dict[tuple[int, str], _Border]:
        """In each direction, the first of the doublings that makes a difference."""
        borders = {way: _Border() for way in directions}
        sizes = [0, *(1 << power for power in range(most.bit_length()) if 1 << power < most), most]
        while sizes and all(border.high is None for border in borders.values()):
            now, sizes = sizes[:_SIZES_A_READING], sizes[_SIZES_A_READING:]
            self._narrow(kind, directions, borders, dict.fromkeys(borders, now))
        return borders

    def _narrow(
        self,
        kind: Kind,
        directions: dict[tuple[int, str], _Direction],
        borders: dict[tuple[int, str], _Border],
        sizes: dict[tuple[int, str], Sequence[int]],
    ) -> None:
        """Try the sizes, all in one reading, and move the borders to where they are found."""
        tries = {
            way: [Trial(self._lane(directions[way](size)), self._plain.course) for size in tried]
            for way, tried in sizes.items()
        }
        self._read(f"trying {kind}", [one for tried in tries.values() for one in tried])
        for way, border in borders.items():
            for size, one in zip(sizes[way], tries[way], strict=True):
                if one.moved is not None:
                    border.high, border.moved = size, one.moved
                    break
                border.low = size

    def _lane(self, warp: MonotonicWarp) -> PerturbedVariant:
        if self._plain.is_traffic:
            return PerturbedDrive(DrivenVariant(self._plain.opened, self._config), warp)
        return PerturbedFold(warp)

    def _read(self, doing: str, tries: Sequence[Trial]) -> None:
        events, last = self._events, self._plain.opened.seq
        if self._plain.is_traffic:
            _, events = read_trace(events)
        for event in counted(events, doing, self._plain.events, self._progress):
            last = event.seq
            for one in tries:
                if one.moved is None:
                    one.take(event)
            if all(one.moved is not None for one in tries):
                return
        for one in tries:
            if one.moved is None:
                one.finish(last)
