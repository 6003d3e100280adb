"""Sensitivity: the smallest clock error that changes the history of a log.

Two histories are equal if each breaker takes the same edges (from, to and trigger) in the same
order, whatever their times. In a log that breakers wrote, every event must also remain possible: no
outcome from an epoch that has not begun, no outcome of a probe that was not admitted, no rejected
call while the breaker lets calls through.

The search tries errors of 1, 2, 4, 8, … units up to the largest, with both signs. Between the first
of them that changes the history and the one before it, the smallest is found by narrowing down. So
the reported error changes the history; the next smaller one, by one unit, does not; nor does any
smaller error that was tried. If larger errors can undo a change that a smaller one makes, then an
untried error between two that were tried may change the history too.
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
from recloser.proof.baseline import Baseline, Progress, read_baseline, with_progress
from recloser.proof.perturbation import (
    MovedEdge,
    PerturbedDrive,
    PerturbedFold,
    PerturbedVariant,
    Trial,
)
from recloser.proof.variants import DrivenVariant

Kind: TypeAlias = Literal["drift", "jitter", "host offset"]

_Direction: TypeAlias = Callable[[int], MonotonicWarp]
"""Makes the error of one kind and sign that has the given size, in ppm or microseconds."""

_MAX_PPM: Final = 500_000
_MAX_US: Final = 60_000_000
_SEEDS: Final = (0, 1, 2)
_MAX_HOSTS: Final = 8
_SIZES_PER_READING: Final = 8


@frozen
class Sensitivity:
    """The smallest error of one kind that changes the history.

    Attributes:
        kind: The kind of error.
        unit: The unit of ``smallest`` and ``most``, which is also the resolution of the search.
        smallest: The error, with its sign; None if no error up to ``most`` changes the history.
        most: The largest error that was tried.
        moved: The first edge that the smallest error moves; None if no error moves one.
        detail: The host whose clock is wrong, or the random seed of the jitter.
    """

    kind: Kind
    unit: Literal["ppm", "us"]
    smallest: int | None
    most: int
    moved: MovedEdge | None = None
    detail: str = ""


@frozen
class SensitivityReport:
    """The smallest clock errors that change the history of one log.

    Attributes:
        baseline: The history without any error.
        found: The smallest error of each kind.
    """

    baseline: Baseline
    found: Sequence[Sensitivity]


def sensitivity(
    events: Iterable[Event],
    *,
    config: Settings | None = None,
    progress: Progress | None = None,
) -> SensitivityReport:
    """Find the smallest clock drift and jitter that change the history of a log.

    In a log from several hosts, the smallest offset of one host's clock is found as well.

    Args:
        events: The log; it is iterated many times.
        config: The settings of breakers that are driven with imported traffic; by default
            ``CircuitBreakerConfig()``.
        progress: Called with what is being done, the number of events read, and the total or None.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` is given for a log that breakers wrote.
    """
    refuse_settings(events, config)
    settings = CircuitBreakerConfig() if config is None else as_config(config)
    baseline = read_baseline(events, settings, progress)
    search = _Search(events, baseline, settings, progress)
    found = [
        search.smallest("drift", "ppm", {(sign, ""): _drifting(sign) for sign in (1, -1)}),
        search.smallest("jitter", "us", {(1, str(seed)): _jittering(seed) for seed in _SEEDS}),
    ]
    hosts = _hosts_in(events)
    if len(hosts) > 1:
        offsets = {(sign, host): _offset(host, sign) for host in hosts for sign in (1, -1)}
        found.append(search.smallest("host offset", "us", offsets))
    return SensitivityReport(baseline, found)


def _drifting(sign: int) -> _Direction:
    return lambda ppm: drift(sign * ppm)


def _jittering(seed: int) -> _Direction:
    return lambda us: jitter(us * 1000, seed)


def _offset(host: str, sign: int) -> _Direction:
    return lambda us: host_offset(host, sign * us * 1000)


def _hosts_in(events: Iterable[Event]) -> Sequence[str]:
    """The hosts whose clocks timed most events of the log."""
    counts: Counter[str] = Counter()
    session_host = ""
    for event in events:
        host = host_of(event, session_host)
        if event.kind == "log_opened":
            session_host = event.host
        else:
            counts[host] += 1
    return sorted(host for host, _ in counts.most_common(_MAX_HOSTS))


@define
class _Border:
    """Where errors of one kind and sign begin to change the history.

    Attributes:
        low: The largest tried error below ``high``; it changes nothing.
        high: The smallest tried error that changes the history; None if none does.
        moved: The first edge that ``high`` moves.
    """

    low: int = 0
    high: int | None = None
    moved: MovedEdge | None = None

    def between(self) -> Sequence[int]:
        """Sizes between ``low`` and ``high``, in equal steps."""
        assert self.high is not None
        width = self.high - self.low
        steps = min(width, _SIZES_PER_READING)
        return sorted({self.low + width * step // steps for step in range(1, steps)})


class _Search:
    """A search that tries many errors in each reading of one log."""

    def __init__(
        self,
        events: Iterable[Event],
        baseline: Baseline,
        config: CircuitBreakerConfig,
        progress: Progress | None,
    ) -> None:
        self._events = events
        self._baseline = baseline
        self._config = config
        self._progress = progress

    def smallest(
        self, kind: Kind, unit: Literal["ppm", "us"], directions: dict[tuple[int, str], _Direction]
    ) -> Sensitivity:
        """Find the smallest error in any direction; the keys are the sign and the detail."""
        most = _MAX_PPM if unit == "ppm" else _MAX_US
        borders = self._bracketed(kind, directions, most)
        nearest = min((b.high for b in borders.values() if b.high is not None), default=None)
        if nearest is None:
            return Sensitivity(kind, unit, None, most)
        if nearest == 0:
            found = next(border.moved for border in borders.values() if border.high == 0)
            return Sensitivity(kind, unit, 0, most, found)
        # A direction in which errors up to the nearest one change nothing can't have the smallest.
        borders = {
            direction: border
            for direction, border in borders.items()
            if border.high is not None and border.low < nearest
        }
        while any(border.between() for border in borders.values()):
            sizes = {direction: border.between() for direction, border in borders.items()}
            self._narrow(kind, directions, borders, sizes)
        (sign, detail), border = min(borders.items(), key=lambda item: item[1].high or 0)
        assert border.high is not None
        return Sensitivity(kind, unit, sign * border.high, most, border.moved, detail)

    def _bracketed(
        self, kind: Kind, directions: dict[tuple[int, str], _Direction], most: int
    ) -> dict[tuple[int, str], _Border]:
        """Double the error in all directions until it changes the history in at least one."""
        borders = {direction: _Border() for direction in directions}
        sizes = [0, *(1 << power for power in range(most.bit_length()) if 1 << power < most), most]
        while sizes and all(border.high is None for border in borders.values()):
            batch, sizes = sizes[:_SIZES_PER_READING], sizes[_SIZES_PER_READING:]
            self._narrow(kind, directions, borders, dict.fromkeys(borders, batch))
        return borders

    def _narrow(
        self,
        kind: Kind,
        directions: dict[tuple[int, str], _Direction],
        borders: dict[tuple[int, str], _Border],
        sizes: dict[tuple[int, str], Sequence[int]],
    ) -> None:
        """Try errors of the given sizes in one reading, and move the borders to match."""
        trials = {
            direction: [
                Trial(self._variant(directions[direction](size)), self._baseline.edges)
                for size in tried
            ]
            for direction, tried in sizes.items()
        }
        self._read(f"trying {kind}", [trial for tried in trials.values() for trial in tried])
        for direction, border in borders.items():
            for size, trial in zip(sizes[direction], trials[direction], strict=True):
                if trial.moved is not None:
                    border.high, border.moved = size, trial.moved
                    break
                border.low = size

    def _variant(self, warp: MonotonicWarp) -> PerturbedVariant:
        if self._baseline.is_traffic:
            return PerturbedDrive(DrivenVariant(self._baseline.opened, self._config), warp)
        return PerturbedFold(warp)

    def _read(self, doing: str, trials: Sequence[Trial]) -> None:
        events, last = self._events, self._baseline.opened.seq
        if self._baseline.is_traffic:
            _, events = read_trace(events)
        for event in with_progress(events, doing, self._baseline.events, self._progress):
            last = event.seq
            for trial in trials:
                if trial.moved is None:
                    trial.apply(event)
            if all(trial.moved is not None for trial in trials):
                return
        for trial in trials:
            if trial.moved is None:
                trial.finish(last)
