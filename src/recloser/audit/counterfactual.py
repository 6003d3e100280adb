"""What would have kept a breaker closed: fewest outcomes gone the other way, or nearest settings.

Whatever is claimed here has been replayed: the outcomes up to the trip are folded again, with some of
them changed or under other settings. They are known, because a closed breaker lets all calls through.
A setting is only ever made less strict, and less strict settings never trip earlier; so it is enough
to fold the outcomes that the counters still held at the trip, from the state before them.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Final, TypeAlias

from attrs import define

from recloser.audit.cause import Change, MinimalCause, Prevention, SettingValue
from recloser.audit.incident import Incident, Outcome, Run, went_well
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.errors import ConfigError
from recloser.events import CallFailed, Rule
from recloser.fold import FoldedEvent
from recloser.validation import NS_PER_SECOND, Rate, exact

_PERCENT: Final = 100
_STEP_NS: Final = 1_000_000  # a slow call's limit is moved by whole milliseconds
_SOME_PREVENTIONS: Final = 6

Settings: TypeAlias = Mapping[str, SettingValue]


@define
class Reached:
    """The outcomes that the counters held at the trip, and how far each limit is overrun.

    Attributes:
        outcomes: Each that counted, in order, the trip's own last.
        run: The failures of the last run, as many as the threshold; empty if it was not reached.
        failed: The failures in the window.
        slow: The slow calls in the window.
        calls: How many calls are in the window.
        failed_too_many: How many fewer failures in the window would have been within its limits.
        slow_too_many: The same for slow calls.
        rules: The rules that had been reached.
    """

    outcomes: Sequence[Outcome]
    run: Sequence[Outcome]
    failed: Sequence[Outcome]
    slow: Sequence[Outcome]
    calls: int
    failed_too_many: int
    slow_too_many: int
    rules: Sequence[Rule]


def reached(run: Run, config: CircuitBreakerConfig) -> Reached:
    """What had been reached when the last outcome of ``run`` tripped the breaker."""
    outcomes = run.counted
    failures = _last_run(outcomes, config.failure_threshold)
    held, calls = _held(outcomes, config.window)
    limit = config.slow_call_ns
    failed = [o for o in held if isinstance(o, CallFailed)]
    slow = [o for o in held if limit is not None and o.took > limit]
    rules = [Rule.CONSECUTIVE_FAILURES] if failures else []
    failed_too_many = slow_too_many = 0
    window = config.window
    if window is not None:
        if window.failures is not None and len(failed) >= window.failures:
            rules.append(Rule.WINDOW_FAILURES)
            failed_too_many = len(failed) - window.failures + 1
        if calls >= window.needed:
            over = _over(len(failed), calls, window.failure_rate)
            rules += [Rule.FAILURE_RATE] * (over > 0)
            failed_too_many = max(failed_too_many, over)
            slow_too_many = _over(len(slow), calls, window.slow_call_rate)
            rules += [Rule.SLOW_CALL_RATE] * (slow_too_many > 0)
    return Reached(outcomes, failures, failed, slow, calls, failed_too_many, slow_too_many, rules)


def _last_run(outcomes: Sequence[Outcome], threshold: int | None) -> Sequence[Outcome]:
    last = [] if threshold is None else outcomes[-threshold:]
    is_run = len(last) == threshold and all(isinstance(o, CallFailed) for o in last)
    return last if is_run else []


def _held(
    outcomes: Sequence[Outcome], window: CountWindow | TimeWindow | None
) -> tuple[list[Outcome], int]:
    """The outcomes in the window after the last of them, and how many calls those are."""
    held: list[Outcome] = []
    calls = 0
    for outcome in reversed(outcomes):
        count = 1 if isinstance(outcome, CallFailed) else outcome.count
        if isinstance(window, CountWindow):
            if calls >= window.size:
                break
            calls = min(window.size, calls + count)
        elif isinstance(window, TimeWindow):
            if outcome.at // NS_PER_SECOND <= outcomes[-1].at // NS_PER_SECOND - window.seconds:
                break
            calls += count
        else:
            break
        held.append(outcome)
    return held[::-1], calls


def _over(count: int, calls: int, rate: Rate | None) -> int:
    """By how many ``count`` must fall for its share of ``calls`` to be below the rate."""
    if rate is None:
        return 0
    threshold = exact(rate)
    # The most that is below: the largest n with n * den < num * calls.
    most = (threshold.numerator * calls - 1) // threshold.denominator
    return max(0, count - most)


def minimal_cause(incident: Incident) -> MinimalCause | None:
    """The fewest outcomes that, had they gone the other way, would have kept the breaker closed."""
    run = incident.run
    if run is None or not run.counted or incident.opened.cause.rule is Rule.COMMAND:
        return None
    found = reached(run, incident.config)
    chosen = min(_choices(found), key=len)
    seqs = sorted(outcome.seq for outcome in chosen)
    if not _keeps_closed(incident, run, seqs):
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


def _keeps_closed(incident: Incident, run: Run, seqs: Sequence[int]) -> bool:
    limit = incident.config.slow_call_ns
    wanted = set(seqs)

    def change(event: FoldedEvent) -> FoldedEvent:
        return went_well(event, limit) if event.seq in wanted else event

    return run.trips_at(incident.opened.breaker, incident.config, change) is None


def preventions(incident: Incident) -> list[Prevention]:
    """The nearest settings that would not have tripped, each checked by replay.

    With each, the outcomes up to the trip leave the breaker closed; with any of its changes taken
    one step back towards what it was, they trip it.
    """
    run = incident.run
    if run is None or not run.counted or incident.opened.cause.rule is Rule.COMMAND:
        return []
    found = reached(run, incident.config)
    kept = []
    for combination in product(*(_changes(found, incident.config, rule) for rule in found.rules)):
        changes = {change.setting: change for change in combination}
        prevention = Prevention(list(changes.values()))
        if prevention not in kept and _is_nearest(incident, run, prevention):
            kept.append(prevention)
    kept.sort(key=lambda prevention: len(prevention.changes))
    return kept[:_SOME_PREVENTIONS]


def _is_nearest(incident: Incident, run: Run, prevention: Prevention) -> bool:
    breaker, config = incident.opened.breaker, incident.config
    values: Settings = {change.setting: change.value for change in prevention.changes}

    def trips(settings: Settings) -> bool:
        return run.trips_at(breaker, with_settings(config, settings)) is not None

    try:
        return not trips(values) and all(
            trips({**values, change.setting: change.step_back}) for change in prevention.changes
        )
    except ConfigError:
        return False  # there is no such setting, as a rate above 1


def with_settings(config: CircuitBreakerConfig, settings: Settings) -> CircuitBreakerConfig:
    """The configuration with some settings changed, the window's named ``window.failure_rate``.

    Raises:
        ConfigError: A value is out of its range.
    """
    changed = config.to_mapping()
    for setting, value in settings.items():
        name, _, of_window = setting.partition(".")
        if of_window:
            window = changed[name]
            assert isinstance(window, dict)
            changed[name] = {**window, of_window: value}
        else:
            changed[name] = value
    return CircuitBreakerConfig.from_mapping(changed)


def _changes(found: Reached, config: CircuitBreakerConfig, rule: Rule) -> list[Change]:
    """What could have kept one rule from being reached; not all of it need be possible."""
    window = config.window
    if rule is Rule.CONSECUTIVE_FAILURES:
        return [_whole("failure_threshold", config.failure_threshold, len(found.run) + 1)]
    assert window is not None
    if rule is Rule.WINDOW_FAILURES:
        return [_whole("window.failures", window.failures, len(found.failed) + 1)]
    more_calls = _whole("window.minimum_calls", window.minimum_calls, found.calls + 1)
    if rule is Rule.FAILURE_RATE:
        assert window.failure_rate is not None
        rate = _rate("window.failure_rate", window.failure_rate, len(found.failed), found.calls)
        return [rate, more_calls]
    assert window.slow_call_rate is not None
    rate = _rate("window.slow_call_rate", window.slow_call_rate, len(found.slow), found.calls)
    return [rate, _slow_limit(found, config), more_calls]


def _whole(setting: str, was: int | None, value: int) -> Change:
    return Change(setting, was, value, value - 1)


def _rate(setting: str, was: Rate, count: int, calls: int) -> Change:
    """The next whole percentage above the share that was seen."""
    percent = count * _PERCENT // calls + 1
    back = Fraction(percent - 1, _PERCENT)
    told = str(was) if isinstance(was, Fraction) else was
    step_back = float(back) if back > exact(was) else told
    return Change(setting, told, percent / _PERCENT, step_back)


def _slow_limit(found: Reached, config: CircuitBreakerConfig) -> Change:
    """The first whole millisecond above the calls that must not be slow."""
    assert config.slow_call_ns is not None
    took = sorted(outcome.took for outcome in found.slow)
    limit = -(-took[found.slow_too_many - 1] // _STEP_NS)
    back = max(config.slow_call_ns, (limit - 1) * _STEP_NS)
    was = config.slow_call_seconds
    step_back = was if back == config.slow_call_ns else back / NS_PER_SECOND
    return Change("slow_call_seconds", was, limit * _STEP_NS / NS_PER_SECOND, step_back)
