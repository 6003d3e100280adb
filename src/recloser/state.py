"""The state of one breaker: all that is known of it, and nothing that is not in its log."""

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final

import attrs
import msgspec
from attrs import Factory, define

from recloser.config import CircuitBreakerConfig, Mode
from recloser.errors import FoldError
from recloser.events import Checkpoint, CircuitBreakerState, Event, FiredRule
from recloser.limits import LAST_COUNTER, MAX_SEQS, MAX_WHOLE
from recloser.machine import CLOSED, HALF_OPEN, OPEN
from recloser.windows import (
    CountedOutcomes,
    TimedOutcomes,
    new_window,
    restored_count,
    restored_window,
)


@define
class BreakerState:
    """All that is known of one breaker; a checkpoint carries just this.

    Attributes:
        breaker: Its name.
        config: Its settings.
        mode: What it does with its decisions.
        state: Where it is.
        epoch: How many edges it has taken.
        forced: Held open by an operator.
        opened_at: When it last opened, in nanoseconds of the log; None unless OPEN.
        half_open_at: When it began to probe; None unless HALF_OPEN.
        deadline: When the next timed edge is due; None where only a call or a command can move it.
        why_open: The rule that opened it; None once it is closed again.
        openings: How often it has opened by its rules.
        openings_in_a_row: How often since it was last closed.
        consecutive_failures: Length of the current run of failures in CLOSED.
        failure_seqs: The ``seq`` of each failure of that run, while the rule is on; the first and
            the last where its threshold is above ``limits.MAX_SEQS``.
        window: The outcomes that its window holds; None where it has none, or is not CLOSED.
        probes_admitted: Probes let through in this epoch.
        probes: When each of them that has not reported was let through, by its number.
        probe_seqs: The ``seq`` of each probe of this epoch that succeeded.
        probe_window: The probes that have reported, where a window decides on them.
        succeeded: Outcomes counted since the log began, as are the four below.
    """

    breaker: str
    config: CircuitBreakerConfig
    mode: Mode = "enforce"
    state: CircuitBreakerState = CLOSED
    epoch: int = 0
    forced: bool = False
    opened_at: int | None = None
    half_open_at: int | None = None
    deadline: int | None = None
    why_open: FiredRule | None = None
    openings: int = 0
    openings_in_a_row: int = 0
    consecutive_failures: int = 0
    failure_seqs: list[int] = Factory(list)
    window: CountedOutcomes | TimedOutcomes | None = None
    probes_admitted: int = 0
    probes: dict[int, int] = Factory(dict)
    probe_seqs: list[int] = Factory(list)
    probe_window: CountedOutcomes | None = None
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    rejected: int = 0
    stale: int = 0


def run_evidence(config: CircuitBreakerConfig, seqs: list[int]) -> list[int]:
    """As many of the ``seq`` of a run's failures as its state has."""
    threshold = config.failure_threshold
    if threshold is None or threshold <= MAX_SEQS or len(seqs) <= 2:  # noqa: PLR2004  # both ends
        return seqs
    return [seqs[0], seqs[-1]]


def bounded_evidence(cause: FiredRule) -> FiredRule:
    """The cause of an edge as it is now; logs of format 1 name each outcome, however many."""
    if len(cause.seqs) <= MAX_SEQS:
        return cause
    span = (cause.seqs[0], cause.seqs[-1])
    return attrs.evolve(cause, seqs=(), calls=cause.observed, span=span)


_FIELDS: Final = tuple(field.name for field in attrs.fields(BreakerState))
_all_of: Final = attrgetter(*_FIELDS)
_MUTABLE: Final = [
    index
    for index, name in enumerate(_FIELDS)
    if name in ("failure_seqs", "window", "probes", "probe_seqs", "probe_window")
]


def copied(state: BreakerState) -> BreakerState:
    """A copy of a state that shares nothing with it that can change."""
    values = list(_all_of(state))
    for index in _MUTABLE:
        value = values[index]
        if value is not None:
            values[index] = value.copy()
    return BreakerState(*values)


def overwrite(state: BreakerState, other: BreakerState) -> None:
    """Make a state equal to another one, whose lists, dictionaries and windows it then shares."""
    for name in _FIELDS:
        setattr(state, name, getattr(other, name))


def first_state(breaker: str, config: CircuitBreakerConfig) -> BreakerState:
    """A breaker of which nothing has been recorded yet."""
    state = BreakerState(breaker, config, config.mode)
    if config.window is not None:
        state.window = new_window(config.window)
    return state


_SPECIAL: Final = ("config", "window", "probe_window")
_PLAIN: Final = [field for field in attrs.fields(BreakerState) if field.name not in _SPECIAL]
_Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_Counter = Annotated[int, msgspec.Meta(ge=0, le=LAST_COUNTER)]
_COUNTERS: Final = frozenset(field.name for field in _PLAIN if field.type is int)
_RANGES: Final[dict[Any, Any]] = {
    int | None: _Whole | None,
    list[int]: list[_Whole],
    dict[int, int]: dict[_Whole, _Whole],
}
_PlainState: Final = msgspec.defstruct(
    "BreakerState",
    [
        (field.name, _Counter if field.name in _COUNTERS else _RANGES.get(field.type, field.type))
        for field in _PLAIN
    ],
    forbid_unknown_fields=True,
)
_values_of: Final = attrgetter(*(field.name for field in _PLAIN))


def config_of(settings: Mapping[str, object]) -> CircuitBreakerConfig:
    """The configuration that an event carries; a log's thousand breakers may share a few.

    Raises:
        ConfigError: It is none.
    """
    try:
        return _config_of(msgspec.json.encode(settings))
    except TypeError:
        return CircuitBreakerConfig.from_mapping(settings)


@lru_cache(maxsize=64)
def _config_of(settings: bytes) -> CircuitBreakerConfig:
    return CircuitBreakerConfig.from_mapping(msgspec.json.decode(settings))


def dump(state: BreakerState) -> Mapping[str, object]:
    """The state as data for a checkpoint; ``restore`` is its inverse."""
    plain = _PlainState(*_values_of(state))
    data: dict[str, object] = msgspec.to_builtins(plain, str_keys=True)
    data["config"] = state.config.to_mapping()
    data["window"] = None if state.window is None else state.window.to_data()
    data["probe_window"] = None if state.probe_window is None else state.probe_window.to_data()
    return data


def parted_fields(state: BreakerState, other: BreakerState) -> list[str]:
    """The names of what two states differ in."""
    names = [field.name for field in attrs.fields(BreakerState)]
    return [name for name in names if getattr(state, name) != getattr(other, name)]


def restore(event: Checkpoint) -> BreakerState:
    """The state that a checkpoint carries.

    Raises:
        FoldError: It is no complete and possible state; the message names the event.
    """
    if event.parts != 1:
        raise FoldError(f"{place(event)}: its other parts are missing")
    try:
        state = _restored(dict(event.state))
    except (msgspec.ValidationError, ValueError) as error:
        raise FoldError(f"{place(event)}: its state can't be used: {error}") from error
    if state.breaker != event.breaker:
        raise FoldError(f"{place(event)}: its state is that of {state.breaker!r}")
    check_times(state, event)
    return state


def _restored(data: dict[str, object]) -> BreakerState:
    settings = msgspec.convert(data.pop("config", None), dict[str, object])
    config = config_of(settings)
    window, probes = data.pop("window", None), data.pop("probe_window", None)
    plain = msgspec.convert(data, _PlainState, str_keys=True)
    state = BreakerState(config=config, **msgspec.structs.asdict(plain))
    state.failure_seqs = run_evidence(config, state.failure_seqs)
    if state.why_open is not None:
        cause = state.why_open = bounded_evidence(state.why_open)
        numbers = (cause.observed, cause.threshold, cause.calls, *cause.seqs, *cause.span)
        if not all(0 <= number <= MAX_WHOLE for number in numbers):
            raise ValueError("a number of why_open is out of range")
    if state.state is CLOSED and config.window is not None:
        state.window = restored_window(config.window, window)
    if state.state is HALF_OPEN and config.half_open_window is not None:
        state.probe_window = restored_count(config.half_open_window.size, probes)
    return state


def check_times(state: BreakerState, event: Event) -> None:
    """What leaves its state by time must know since when it is there, or it would never leave.

    Raises:
        FoldError: It does not; the message names the event at which that is found.
    """
    missing = None
    if state.state is OPEN:
        if state.opened_at is None:
            missing = "OPEN without an opening time"
        elif state.deadline is None and not state.forced:
            missing = "OPEN without the end of its cooldown"
    elif state.state is HALF_OPEN and state.half_open_at is None:
        missing = "HALF_OPEN without the time it began"
    if missing:
        raise FoldError(f"{place(event)}: {state.breaker!r} is {missing}")


def place(event: Event) -> str:
    """Where in its log an event stands, for an error about it."""
    return f"event {event.seq} ({event.kind})"
