"""Find what would have kept a breaker closed: other outcomes, or settings.

Every answer is verified by the kernel, which folds the outcomes up to the trip again, either with
some of them changed or with other settings. All outcomes up to the trip are known, because a closed
breaker lets every call through.

Settings are only ever made less strict. Less strict settings never trip earlier, which has two
consequences. First, it is enough to fold the outcomes that the counters still held at the trip,
beginning with the state before them. Second, the nearest setting can be found by bisection.
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

_MAX_PREVENTIONS: Final = 6

_RELAXED: Final[Mapping[Rule, Sequence[str]]] = {
    Rule.CONSECUTIVE_FAILURES: ("failure_threshold",),
    Rule.WINDOW_FAILURES: ("window.failures",),
    Rule.FAILURE_RATE: ("window.failure_rate", "window.minimum_calls"),
    Rule.SLOW_CALL_RATE: (
        "window.slow_call_rate",
        "slow_call_seconds",
        "window.minimum_calls",
    ),
}
"""For each rule, the settings that can be relaxed; the rule is off if the first of them is None."""

_STEPS_PER_UNIT: Final = {
    "window.failure_rate": 100,
    "window.slow_call_rate": 100,
    "slow_call_seconds": 1000,
}
"""How many steps make up one unit of a setting: whole percentages and milliseconds; others have 1."""


@define
class LimitsReached:
    """The outcomes in the counters at a trip, and by how much they exceed limits.

    Attributes:
        outcomes: Every counted outcome in order; the last one tripped the breaker.
        run: The consecutive failures that reached their threshold; empty if they did not reach it.
        failed: The failures in the window.
        slow: The slow calls in the window.
        limits: The rules that were reached, each with settings in which no other rule is on.
        failed_too_many: How many failures in the window would have had to succeed.
        slow_too_many: How many slow calls in the window would have had to be fast enough.
    """

    outcomes: Sequence[Outcome]
    run: Sequence[Outcome]
    failed: Sequence[Outcome]
    slow: Sequence[Outcome]
    limits: dict[Rule, CircuitBreakerConfig] = Factory(dict)
    failed_too_many: int = 0
    slow_too_many: int = 0


def limits_reached(run: OutcomeRun, config: CircuitBreakerConfig) -> LimitsReached:
    """Find the limits that were reached when the breaker tripped.

    The last outcome of ``run`` tripped it.
    """
    state = run.folded(config)
    window = None
    if config.window is not None:
        # An outcome that trips by consecutive failures is not added to the window any more. Without
        # that rule, it is.
        window = run.folded(configured(config, {"failure_threshold": None})).window
    held = [o for o in run.counted if window is not None and o.seq >= window.span()[0]]
    found = LimitsReached(
        outcomes=run.counted,
        run=[],
        failed=[o for o in held if isinstance(o, CallFailed)],
        slow=[o for o in held if o.took > state.rules.slow_ns],
    )
    for rule in _RELAXED:
        alone = _only_rule(config, rule)
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


def _only_rule(config: CircuitBreakerConfig, rule: Rule) -> CircuitBreakerConfig | None:
    """The configuration with all other rules turned off.

    None if ``rule`` itself is off in it.
    """
    limit = _RELAXED[rule][0]
    if _value_of(config, limit) is None:
        return None
    if rule is Rule.CONSECUTIVE_FAILURES:
        return configured(config, {"window": None})
    return configured(config, {other: None for other, *_ in _RELAXED.values() if other != limit})


def _too_many(run: OutcomeRun, config: CircuitBreakerConfig, outcomes: Sequence[Outcome]) -> int:
    """How many of the latest given outcomes would have had to succeed in time."""
    seqs = [outcome.seq for outcome in outcomes]

    def is_enough(count: int) -> bool:
        return not run.folded(config, set(seqs[-count:])).fired

    return 1 + bisect_left(range(1, len(seqs)), x=True, key=is_enough)


def remedies(incident: Incident) -> tuple[MinimalCause | None, list[Prevention]]:
    """Find what would have kept the breaker closed.

    Returns:
        The fewest outcomes that would have had to succeed, and the nearest settings with which the
        breaker would not have tripped here. With any of these settings one step nearer to its value
        at the trip, the breaker still trips. If an operator opened the breaker: None and an empty
        list.
    """
    run = incident.run
    if run is None or not run.counted or incident.opened.cause.rule is Rule.COMMAND:
        return None, []
    found = limits_reached(run, incident.config)
    return _minimal_cause(run, incident.config, found), _preventions(run, incident.config, found)


def _minimal_cause(
    run: OutcomeRun, config: CircuitBreakerConfig, found: LimitsReached
) -> MinimalCause | None:
    chosen = min(_choices(found), key=len)
    seqs = sorted(outcome.seq for outcome in chosen)
    if run.folded(config, set(seqs)).fired:
        return None
    return MinimalCause(len(seqs), seqs, _any_of(found, len(seqs)))


def _choices(found: LimitsReached) -> Iterator[list[Outcome]]:
    """Yield sets of outcomes that would have kept every limit from being reached.

    One of the sets is the smallest possible.

    Any one failure of the run breaks it. That failure may also be in the window, and may also be
    slow, so one failure of each such kind is tried. If the window then still has too many failures
    and slow calls, the outcomes that are both are added first.
    """
    failed = {o.seq for o in found.failed}
    slow = {o.seq for o in found.slow}
    kinds = {(o.seq in failed, o.seq in slow): o for o in found.run}
    for first in kinds.values() or [None]:
        chosen = [] if first is None else [first]
        yield chosen + _fill(found, failed, slow, chosen)


def _fill(
    found: LimitsReached, failed: set[int], slow: set[int], chosen: Sequence[Outcome]
) -> list[Outcome]:
    """The outcomes to add to ``chosen`` so that the window stays below its limits."""
    used = {o.seq for o in chosen}
    added: list[Outcome] = []

    def add_latest(kind: set[int], count: int) -> None:
        free = [o for o in found.outcomes if o.seq in kind and o.seq not in used]
        latest = free[max(0, len(free) - count) :] if count > 0 else []
        added.extend(latest)
        used.update(o.seq for o in latest)

    def fewer_failed() -> int:
        return found.failed_too_many - len(used & failed)

    def fewer_slow() -> int:
        return found.slow_too_many - len(used & slow)

    add_latest(failed & slow, min(fewer_failed(), fewer_slow()))
    add_latest(failed, fewer_failed())
    add_latest(slow, fewer_slow())
    return added


def _any_of(found: LimitsReached, count: int) -> list[int]:
    """The outcomes of which any ``count`` are enough; empty if it matters which."""
    limits = [
        (found.run, 1 if found.run else 0),
        (found.failed, found.failed_too_many),
        (found.slow, found.slow_too_many),
    ]
    exceeded = [(outcomes, needed) for outcomes, needed in limits if needed]
    if len(exceeded) == 1:
        return [outcome.seq for outcome in exceeded[0][0]]
    # If the window holds the whole run, then any failure of the run is enough for both limits.
    within = {o.seq for o in found.failed}
    if not found.slow_too_many and count == 1 and all(o.seq in within for o in found.run):
        return [outcome.seq for outcome in found.run]
    return []


def _preventions(
    run: OutcomeRun, config: CircuitBreakerConfig, found: LimitsReached
) -> list[Prevention]:
    preventions: list[Prevention] = []
    for combination in product(*(_changes(run, *limit) for limit in found.limits.items())):
        changes = {change.setting: change for change in combination}
        prevention = Prevention(list(changes.values()))
        if prevention not in preventions and _is_nearest(run, config, prevention):
            preventions.append(prevention)
    preventions.sort(key=lambda prevention: len(prevention.changes))
    return preventions[:_MAX_PREVENTIONS]


def _is_nearest(run: OutcomeRun, config: CircuitBreakerConfig, prevention: Prevention) -> bool:
    values = {change.setting: change.value for change in prevention.changes}

    def trips(settings: Mapping[str, SettingValue]) -> bool:
        return bool(run.folded(configured(config, settings)).fired)

    try:
        return not trips(values) and all(
            trips({**values, change.setting: change.step_back}) for change in prevention.changes
        )
    except ConfigError:
        return False  # the value is out of range, for example a rate above 1


def _value_of(config: CircuitBreakerConfig, setting: str) -> Rate | None:
    name, _, of_window = setting.partition(".")
    value = getattr(config, name)
    return getattr(value, of_window, None) if of_window else value


def _changes(run: OutcomeRun, rule: Rule, config: CircuitBreakerConfig) -> Iterator[Change]:
    """Yield changes of one setting each that keep the rule from being reached.

    Some values can be out of range.
    """
    for setting in _RELAXED[rule]:
        per_unit = _STEPS_PER_UNIT.get(setting, 1)
        was = _value_of(config, setting)
        assert was is not None
        first = floor(exact(was) * per_unit) + 1

        def is_enough(step: int, setting: str = setting, per_unit: int = per_unit) -> bool:
            try:
                changed = configured(config, {setting: _value_at(step, per_unit)})
            except ConfigError:
                return True  # out of range, so the search for an upper bound can end here
            return not run.folded(changed).fired

        # Double the distance until a value is enough, then bisect.
        low, high = first, first
        while not is_enough(high):
            low, high = high + 1, 2 * high - first + 1
        step = low + bisect_left(range(low, high), x=True, key=is_enough)
        now = str(was) if isinstance(was, Fraction) else was
        back = now if step == first else _value_at(step - 1, per_unit)
        yield Change(setting, now, _value_at(step, per_unit), back)


def _value_at(step: int, per_unit: int) -> int | float:
    return step if per_unit == 1 else step / per_unit
