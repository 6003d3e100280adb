"""The whole state of one breaker, which is computed only from its log, and its data in a checkpoint."""

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Final, TypeVar

import attrs
import msgspec

from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig, Mode
from recloser.core.edges import MachineState
from recloser.core.events import Checkpoint, CircuitBreakerState, Event, FiredRule
from recloser.core.kernel import NEVER, Reclosing, Ring
from recloser.core.limits import LAST_COUNTER, MAX_AT, MAX_SEQS, MAX_WHOLE
from recloser.core.state_machine import CLOSED
from recloser.core.stored_window import restored_window
from recloser.errors import FoldError


class BreakerState(MachineState):
    """The whole state of one breaker, as a checkpoint holds it.

    To ``MachineState`` it adds only the mode, as a text, and the cause of the last opening.

    Args:
        breaker: Name of the breaker.
        config: Its settings.
    """

    __slots__ = ()

    def __init__(self, breaker: str, config: CircuitBreakerConfig) -> None:
        super().__init__(breaker, config)
        self.mode = config.mode

    @property
    def mode(self) -> Mode:
        """The mode of the breaker: ``enforce``, ``shadow`` or ``disabled``."""
        if self.is_disabled:
            return "disabled"
        return "shadow" if self.is_shadow else "enforce"

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self.is_disabled = mode == "disabled"
        self.is_shadow = mode == "shadow"

    @property
    def why_open(self) -> FiredRule | None:
        """The rule that opened the breaker; None once it is closed again."""
        cause = self.opened_by
        return cause if cause is None or type(cause) is FiredRule else FiredRule(*_FIELDS(cause))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BreakerState) and dump(self) == dump(other)

    __hash__ = None  # type: ignore[assignment]  # a state changes

    def __repr__(self) -> str:
        return f"BreakerState({dump(self)})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (dict(dump(self)),)


_FIELDS: Final = attrgetter(*[field.name for field in attrs.fields(FiredRule)])


def bounded_evidence(cause: FiredRule) -> FiredRule:
    """The cause of an edge with at most ``MAX_SEQS`` outcomes; logs of format 1 list them all."""
    if len(cause.seqs) <= MAX_SEQS:
        return cause
    span = (cause.seqs[0], cause.seqs[-1])
    return attrs.evolve(cause, seqs=(), calls=cause.observed, span=span)


def numbers_of(ring: Ring | None) -> list[int]:
    """The numbers in a ring, from the oldest item to the newest; empty if the ring is None."""
    return [] if ring is None else ring.to_list()


def probes_of(state: BreakerState) -> dict[int, int]:
    """The time at which each probe in flight was let through, in ns of the log, by its number."""
    numbers = numbers_of(state.probes)
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


_Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_At = Annotated[int, msgspec.Meta(ge=0, le=MAX_AT)]
_Counter = Annotated[int, msgspec.Meta(ge=0, le=LAST_COUNTER)]


class _StateData(msgspec.Struct, forbid_unknown_fields=True):
    """The data of a state in a checkpoint, without its settings and windows."""

    breaker: str
    mode: Mode
    state: CircuitBreakerState
    epoch: _Counter
    forced: bool
    opened_at: _At | None
    half_open_at: _At | None
    deadline: _Whole | None
    why_open: FiredRule | None
    openings: _Counter
    openings_in_a_row: _Counter
    consecutive_failures: _Counter
    failure_seqs: list[_Whole]
    probes_admitted: _Counter
    probes: dict[_Whole, _At]
    probe_seqs: list[_Whole]
    succeeded: _Counter
    failed: _Counter
    ignored: _Counter
    rejected: _Counter
    stale: _Counter


class _WholeData(_StateData):
    """The data of a state in a checkpoint, with its settings and windows."""

    config: object
    window: object
    probe_window: object


_D = TypeVar("_D", bound=_StateData)


def config_of(settings: Mapping[str, object]) -> CircuitBreakerConfig:
    """Make the configuration that an event holds; equal settings share one object.

    Raises:
        ConfigError: The settings are not valid.
    """
    try:
        return _config_of(msgspec.json.encode(settings))
    except TypeError:
        return CircuitBreakerConfig.from_mapping(settings)


@lru_cache(maxsize=64)
def _config_of(settings: bytes) -> CircuitBreakerConfig:
    return CircuitBreakerConfig.from_mapping(msgspec.json.decode(settings))


def dump(state: BreakerState) -> Mapping[str, object]:
    """The state as data for a checkpoint; ``restore`` is the inverse."""
    data: dict[str, object] = msgspec.to_builtins(_plain(state, _StateData), str_keys=True)
    data |= _rest(state)
    return data


def dumped_json(state: BreakerState) -> bytes:
    """The state as JSON, the same bytes as the encoded result of ``dump``."""
    return msgspec.json.encode(_plain(state, _WholeData, **_rest(state)))


def _plain(state: BreakerState, form: type[_D], **rest: object) -> _D:
    return form(
        breaker=state.breaker,
        mode=state.mode,
        state=state.state,
        epoch=state.epoch,
        forced=state.is_forced,
        opened_at=_known(state.opened_at),
        half_open_at=_known(state.half_open_at),
        deadline=None if state.deadline == NEVER else state.deadline,
        why_open=state.why_open,
        openings=state.openings,
        openings_in_a_row=state.openings_in_a_row,
        consecutive_failures=state.consecutive_failures,
        failure_seqs=numbers_of(state.failure_seqs),
        probes_admitted=state.probes_admitted,
        probes=probes_of(state),
        probe_seqs=numbers_of(state.probe_seqs),
        succeeded=state.succeeded,
        failed=state.failed,
        ignored=state.ignored,
        rejected=state.rejected,
        stale=state.stale,
        **rest,
    )


def _rest(state: BreakerState) -> dict[str, object]:
    window, probes = state.window, state.probe_window
    return {
        "config": state.config.to_mapping(),
        "window": None if window is None else window.to_data(),
        "probe_window": None if probes is None else probes.to_data(),
    }


def is_dumped_as(state: BreakerState, data: Mapping[str, object]) -> bool:
    """Whether the data equals ``dump`` of the state, and a reader would accept it."""
    return msgspec.json.encode(data) == dumped_json(state) and is_readable(state)


def is_readable(state: BreakerState) -> bool:
    """Whether a reader would accept a checkpoint of this state: its counters are in range."""
    return all(getattr(state, name) <= LAST_COUNTER for name in _GROWING)


_GROWING: Final = ("epoch", "openings", "succeeded", "failed", "ignored", "rejected", "stale")


def _known(moment: int) -> int | None:
    return None if moment < 0 else moment


def differing_fields(state: BreakerState, other: BreakerState) -> list[str]:
    """The names of the fields in which two states differ, as a checkpoint names them."""
    one, two = dump(state), dump(other)
    return [name for name in one if one[name] != two[name]]


def restore(event: Checkpoint) -> BreakerState:
    """Make the state that a checkpoint holds.

    Raises:
        FoldError: The state is not complete or not possible; the message names the event.
    """
    if event.parts != 1:
        raise FoldError(f"{event_label(event)}: its other parts are missing")
    try:
        state = _restored(dict(event.state))
    except (msgspec.ValidationError, ValueError) as error:
        raise FoldError(f"{event_label(event)}: its state can't be used: {error}") from error
    if state.breaker != event.breaker:
        raise FoldError(f"{event_label(event)}: its state is that of {state.breaker!r}")
    check_times(state, event)
    return state


def _restored(data: dict[str, object]) -> BreakerState:
    settings = msgspec.convert(data.pop("config", None), dict[str, object])
    config = config_of(settings)
    window, probe_window = data.pop("window", None), data.pop("probe_window", None)
    plain = msgspec.convert(data, _StateData, str_keys=True)
    if plain.state is CLOSED and plain.deadline is not None:
        raise ValueError("it is CLOSED with a deadline")
    state = BreakerState(plain.breaker, config)
    state.mode = plain.mode
    state.state = plain.state  # without an edge: no other code has this object yet
    state.deadline = NEVER if plain.deadline is None else plain.deadline
    for name in _COUNTERS:
        setattr(state, name, getattr(plain, name))
    state.failure_seqs = _ring(1, _run_evidence(config, plain.failure_seqs))
    state.reclosing = None if state.where == kernel.CLOSED else _reclosing(plain)
    why = None if plain.why_open is None else _checked(bounded_evidence(plain.why_open))
    state.opened = (plain.openings, plain.openings_in_a_row, why)
    rules = state.rules
    state.window = None
    if state.where == kernel.CLOSED and rules.window is not None:
        state.window = restored_window(rules.window, window)
    is_half_open = state.where == kernel.HALF_OPEN
    if is_half_open and state.reclosing is not None and rules.probe_window is not None:
        state.reclosing.probe_window = restored_window(rules.probe_window, probe_window)
    return state


_COUNTERS: Final = (
    "epoch",
    "consecutive_failures",
    "succeeded",
    "failed",
    "ignored",
    "rejected",
    "stale",
)


def _reclosing(plain: _StateData) -> Reclosing:
    reclosing = Reclosing()
    reclosing.is_forced = plain.forced
    reclosing.opened_at = -1 if plain.opened_at is None else plain.opened_at
    reclosing.half_open_at = -1 if plain.half_open_at is None else plain.half_open_at
    reclosing.probes_admitted = plain.probes_admitted
    reclosing.probe_seqs = _ring(1, plain.probe_seqs)
    # Sorted, since the kernel searches for a probe by its number.
    probes = sorted(plain.probes.items())
    reclosing.probes = _ring(2, [number for probe in probes for number in probe])
    return reclosing


def _ring(width: int, numbers: list[int]) -> Ring | None:
    if not numbers:
        return None
    ring = Ring(width)
    ring.extend(numbers)
    return ring


def _run_evidence(config: CircuitBreakerConfig, seqs: list[int]) -> list[int]:
    """The failures in a row that a state holds: all, or the first and the last of very many."""
    threshold = config.failure_threshold
    if threshold is None or threshold <= MAX_SEQS or len(seqs) <= 2:  # noqa: PLR2004  # both ends
        return seqs
    return [seqs[0], seqs[-1]]


def _checked(cause: FiredRule) -> FiredRule:
    numbers = (cause.observed, cause.threshold, cause.calls, *cause.seqs, *cause.span)
    if not all(0 <= number <= MAX_WHOLE for number in numbers):
        raise ValueError("a number of why_open is out of range")
    return cause


def check_times(state: BreakerState, event: Event) -> None:
    """Check that a state which time must end has the times that this needs.

    An open breaker without the end of its cooldown, for example, would stay open for ever.

    Raises:
        FoldError: A time is missing; the message names the event at which that was found.
    """
    missing = None
    if state.where == kernel.OPEN:
        if state.opened_at < 0:
            missing = "OPEN without an opening time"
        elif state.deadline == NEVER and not state.is_forced:
            missing = "OPEN without the end of its cooldown"
    elif state.where == kernel.HALF_OPEN and state.half_open_at < 0:
        missing = "HALF_OPEN without the time it began"
    if missing:
        raise FoldError(f"{event_label(event)}: {state.breaker!r} is {missing}")


def event_label(event: Event) -> str:
    """The number and kind of an event, for an error message."""
    return f"event {event.seq} ({event.kind})"
