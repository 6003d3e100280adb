"""What would have kept a breaker closed: fewest outcomes gone the other way, or nearest settings.

The kernel is asked: the outcomes up to the trip are folded again, with some of them changed or under
other settings. They are known, because a closed breaker lets all calls through. A setting is only
ever made less strict, and less strict settings never trip earlier; so it is enough to fold the
outcomes that the counters still held at the trip, from the state before them, and what is the nearest
can be found by bisection.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import floor
from typing import Final

from attrs import Factory, define

from recloser.audit.cause import Change, MinimalCause, Prevention, SettingValue
from recloser.audit.incident import Incident, Outcome, OutcomeRun
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CallFailed, Rule
from recloser.core.settings import configured
from recloser.core.validation import Rate, exact
from recloser.errors import ConfigError

_SOME_PREVENTIONS: Final = 6

_MOVED: Final[Mapping[Rule, Sequence[str]]] = {
    Rule.CONSECUTIVE_FAILURES: ("failure_threshold",),
    Rule.WINDOW_FAILURES: ("window.failures",),
    Rule.FAILURE_RATE: ("window.failure_rate", "window.minimum_calls"),
    Rule.SLOW_CALL_RATE: (
        "window.slow_call_rate",
        "slow_call_seconds",
        "window.minimum_calls",
    ),
}
"""The settings that can keep a rule from being reached; without the first there is no such rule."""

_PARTS: Final = {
    "window.failure_rate": 100,
    "window.slow_call_rate": 100,
    "slow_call_seconds": 1000,
}
"""A setting is moved by such parts of one: whole percentages, whole milliseconds; else by ones."""


@define
class Reached:
    """The outcomes that the counters held at the trip, and how far each limit is overrun.

    Attributes:
        outcomes: Each that counted, in order, the trip's own last.
        run: The failures of the last run, as many as the threshold; empty if it was not reached.
        failed: The failures in the window.
        slow: The slow calls in the window.
        limits: The rules that had been reached, each with settings of no other limit.
        failed_too_many: Of how many failures in the window one each would have had to go well.
        slow_too_many: The same for slow calls.
    """

    outcomes: Sequence[Outcome]
    run: Sequence[Outcome]
    failed: Sequence[Outcome]
    slow: Sequence[Outcome]
    limits: dict[Rule, CircuitBreakerConfig] = Factory(dict)
    failed_too_many: int = 0
    slow_too_many: int = 0


def reached(run: OutcomeRun, config: CircuitBreakerConfig) -> Reached:
    """What had been reached when the last outcome of ``run`` tripped the breaker."""
    state = run.folded(config)
    window = None
    if config.window is not None:
        # The outcome that ends a run is not in the window yet when that trips.
        window = run.folded(configured(config, {"failure_threshold": None})).window
    held = [o for o in run.counted if window is not None and o.seq >= window.span()[0]]
    found = Reached(
        outcomes=run.counted,
        run=[],
        failed=[o for o in held if isinstance(o, CallFailed)],
        slow=[o for o in held if o.took > state.rules.slow_ns],
    )
    for rule in _MOVED:
        alone = _without_others(config, rule)
        if alone is None or not run.folded(alone).fired:
            continue
        if rule is Rule.CONSECUTIVE_FAILURES:
            found.run = run.counted[-state.consecutive_failures :]
        elif rule is Rule.SLOW_CALL_RATE:
            found.slow_too_many = _too_many(run, alone, found.slow)
        else:
            fewer = _too_many(run, alone, found.failed)
            found.failed_too_many = max(found.failed_too_many, fewer)
        found.limits[rule] = alone
    return found


def _without_others(config: CircuitBreakerConfig, rule: Rule) -> CircuitBreakerConfig | None:
    """The configuration with no limit but that of a rule; None where it has none of that rule."""
    limit = _MOVED[rule][0]
    if _value_of(config, limit) is None:
        return None
    if rule is Rule.CONSECUTIVE_FAILURES:
        return configured(config, {"window": None})
    return configured(config, {moved: None for moved, *_ in _MOVED.values() if moved != limit})


def _too_many(run: OutcomeRun, config: CircuitBreakerConfig, outcomes: Sequence[Outcome]) -> int:
    """How many of some outcomes, the latest, would have had to go well under the settings."""
    seqs = [outcome.seq for outcome in outcomes]

    def is_enough(count: int) -> bool:
        return not run.folded(config, set(seqs[-count:])).fired

    return 1 + bisect_left(range(1, len(seqs)), x=True, key=is_enough)


def remedies(incident: Incident) -> tuple[MinimalCause | None, list[Prevention]]:
    """What would have kept the breaker closed; nothing where a command opened it.

    Returns:
        The fewest outcomes that, had they gone the other way, would have; and the nearest settings
        with which the outcomes up to the trip leave it closed. With any change of these taken one step
        back towards what it was, they trip it.
    """
    run = incident.run
    if run is None or not run.counted or incident.opened.cause.rule is Rule.COMMAND:
        return None, []
    found = reached(run, incident.config)
    return _minimal_cause(run, incident.config, found), _preventions(run, incident.config, found)


def _minimal_cause(run: OutcomeRun, config: CircuitBreakerConfig, found: Reached) -> MinimalCause | None:
    chosen = min(_choices(found), key=len)
    seqs = sorted(outcome.seq for outcome in chosen)
    if run.folded(config, set(seqs)).fired:
        return None
    return MinimalCause(len(seqs), seqs, _any_of(found, len(seqs)))


def _choices(found: Reached) -> Iterator[list[Outcome]]:
    """Sets of outcomes that bring all below their limits; the smallest is among them.

    A run is broken by any one of its failures, which may be in the window as well, and slow. So
    one failure of each such kind is tried; what the window then still has too many of is taken
    first where an outcome is both failed and slow.
    """
    failed = {o.seq for o in found.failed}
    slow = {o.seq for o in found.slow}
    kinds = {(o.seq in failed, o.seq in slow): o for o in found.run}
    for first in kinds.values() or [None]:
        chosen = [] if first is None else [first]
        yield chosen + _fill(found, failed, slow, chosen)


def _fill(
    found: Reached, failed: set[int], slow: set[int], chosen: Sequence[Outcome]
) -> list[Outcome]:
    taken = {o.seq for o in chosen}
    filled: list[Outcome] = []

    def take_latest(kind: set[int], count: int) -> None:
        free = [o for o in found.outcomes if o.seq in kind and o.seq not in taken]
        latest = free[max(0, len(free) - count) :] if count > 0 else []
        filled.extend(latest)
        taken.update(o.seq for o in latest)

    def fewer_failed() -> int:
        return found.failed_too_many - len(taken & failed)

    def fewer_slow() -> int:
        return found.slow_too_many - len(taken & slow)

    take_latest(failed & slow, min(fewer_failed(), fewer_slow()))
    take_latest(failed, fewer_failed())
    take_latest(slow, fewer_slow())
    return filled


def _any_of(found: Reached, count: int) -> list[int]:
    """The outcomes of which any ``count`` do, where only one limit is overrun."""
    ways = [
        (found.run, 1 if found.run else 0),
        (found.failed, found.failed_too_many),
        (found.slow, found.slow_too_many),
    ]
    overrun = [(outcomes, needed) for outcomes, needed in ways if needed]
    if len(overrun) == 1:
        return [outcome.seq for outcome in overrun[0][0]]
    # Any failure of the run does for the window too, where that holds the whole run.
    within = {o.seq for o in found.failed}
    if not found.slow_too_many and count == 1 and all(o.seq in within for o in found.run):
        return [outcome.seq for outcome in found.run]
    return []


def _preventions(run: OutcomeRun, config: CircuitBreakerConfig, found: Reached) -> list[Prevention]:
    kept = []
    for combination in product(*(_changes(run, *limit) for limit in found.limits.items())):
        changes = {change.setting: change for change in combination}
        prevention = Prevention(list(changes.values()))
        if prevention not in kept and _is_nearest(run, config, prevention):
            kept.append(prevention)
    kept.sort(key=lambda prevention: len(prevention.changes))
    return kept[:_SOME_PREVENTIONS]


def _is_nearest(run: OutcomeRun, config: CircuitBreakerConfig, prevention: Prevention) -> bool:
    values = {change.setting: change.value for change in prevention.changes}

    def trips(settings: Mapping[str, SettingValue]) -> bool:
        return bool(run.folded(configured(config, settings)).fired)

    try:
        return not trips(values) and all(
            trips({**values, change.setting: change.step_back}) for change in prevention.changes
        )
    except ConfigError:
        return False  # there is no such setting, as a rate above 1


def _value_of(config: CircuitBreakerConfig, setting: str) -> Rate | None:
    name, _, of_window = setting.partition(".")
    value = getattr(config, name)
    return getattr(value, of_window, None) if of_window else value


def _changes(run: OutcomeRun, rule: Rule, config: CircuitBreakerConfig) -> Iterator[Change]:
    """What could have kept a rule from being reached; not all of it need be possible."""
    for setting in _MOVED[rule]:
        parts = _PARTS.get(setting, 1)
        was = _value_of(config, setting)
        assert was is not None
        first = floor(exact(was) * parts) + 1

        def is_enough(step: int, setting: str = setting, parts: int = parts) -> bool:
            try:
                changed = configured(config, {setting: _moved(step, parts)})
            except ConfigError:
                return True  # nor need any larger one be tried
            return not run.folded(changed).fired

        low, high = first, first
        while not is_enough(high):
            low, high = high + 1, 2 * high - first + 1
        step = low + bisect_left(range(low, high), x=True, key=is_enough)
        now = str(was) if isinstance(was, Fraction) else was
        back = now if step == first else _moved(step - 1, parts)
        yield Change(setting, now, _moved(step, parts), back)


def _moved(step: int, parts: int) -> int | float:
    return step if parts == 1 else step / parts
