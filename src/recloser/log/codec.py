"""Encodes events as lines of JSON, and decodes them.

The wire form of an event is derived from its class in ``recloser.core.events``: ``event``, then the
same fields in the same order, without those that have their default value. Decoding is strict: a
field that is missing, unknown or of another type is an error.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args

import attrs
import msgspec

from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    CallFailed,
    CallIgnored,
    CallSucceeded,
    Checkpoint,
    Event,
    FiredRule,
    LogSealed,
)
from recloser.core.limits import MAX_AT, MAX_COUNT, MAX_LINE_BYTES, MAX_SEQ, MAX_WHOLE
from recloser.errors import DamagedLogError, FutureVersionError, LogError, NotALogError

_SHOWN: Final = 60
_BATCH: Final = 1024
"""Events encoded at once: few enough that their lines reuse memory that was just freed.

More at once would need new memory, which costs a third more time.
"""

E = TypeVar("E", bound=Event)

_WIRE_NAMES: Final = {"from_state": "from", "to_state": "to"}
_Natural = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
_RANGES: Final[dict[str, Any]] = {
    "seq": Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)],
    "at": Annotated[int, msgspec.Meta(ge=0, le=MAX_AT)],
    "part": _Count,
    "parts": _Count,
}
"""Types of fields, by name, that allow less than any whole number from 0 up."""


class _Form:
    """The wire form of one attrs class.

    ``msgspec`` reads and writes its own structs in the declared order and without defaults, which
    it does not do for attrs classes. Only this class knows both.
    """

    def __init__(self, event_type: type[attrs.AttrsInstance], kind: str | None = None) -> None:
        fields = attrs.fields(event_type)
        self._type = event_type
        self._names = [field.name for field in fields]
        self._values: Callable[[object], Sequence[object]] = attrgetter(*self._names)
        self._cause_at = self._names.index("cause") if "cause" in self._names else None
        namespace: dict[str, object] = {} if kind is None else {"kind": kind}
        if validated := [field for field in fields if field.validator is not None]:
            namespace["__post_init__"] = _check(validated)
        self.struct: type[msgspec.Struct] = msgspec.defstruct(
            event_type.__name__,
            [_struct_field(field, event_type) for field in fields],
            rename=_WIRE_NAMES,
            omit_defaults=True,
            forbid_unknown_fields=True,
            gc=False,
            namespace=namespace,
            tag_field=None if kind is None else "event",
            tag=kind,
        )

    def to_wire(self, event: object) -> msgspec.Struct:
        values = list(self._values(event))
        if self._cause_at is not None:
            values[self._cause_at] = _CAUSE.to_wire(values[self._cause_at])
        return self.struct(*values)

    def from_wire(self, wire: object) -> object:
        if self._cause_at is None:
            return self._type(*self._values(wire))
        values = list(self._values(wire))
        values[self._cause_at] = _CAUSE.from_wire(values[self._cause_at])
        return self._type(*values)


def _check(validated: Sequence["attrs.Attribute[Any]"]) -> Callable[[object], None]:
    """Return a function that runs the attrs validators of fields on a struct."""

    def check(wire: object) -> None:
        for field in validated:
            assert field.validator is not None
            field.validator(wire, field, getattr(wire, field.name))

    return check


def _struct_field(
    field: "attrs.Attribute[Any]", event_type: type[attrs.AttrsInstance]
) -> tuple[str, Any] | tuple[str, Any, Any]:
    wire_type = _RANGES.get(field.name, _WIRE_TYPES.get(field.type, field.type))
    if field.name == "count" and event_type is not LogSealed:  # a seal of no lines closes a segment
        wire_type = _Count
    if field.default is attrs.NOTHING:
        return field.name, wire_type
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        return (
            field.name,
            wire_type,
            msgspec.field(default_factory=cast("Any", field.default).factory),
        )
    return field.name, wire_type, field.default


_WIRE_TYPES: Final[dict[Any, Any]] = {
    int: _Natural,
    int | None: _Natural | None,
    tuple[int, ...]: tuple[_Natural, ...],
}
_CAUSE: Final = _Form(FiredRule)
_WIRE_TYPES[FiredRule] = _CAUSE.struct

_FORMS: Final = {event_type: _Form(event_type, event_type.kind) for event_type in get_args(Event)}
_FORM_OF_STRUCT: Final = {form.struct: form for form in _FORMS.values()}
_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_decoder: Final = msgspec.json.Decoder(Union[tuple(_FORM_OF_STRUCT)])  # noqa: UP007  # a run-time union


class _Header(msgspec.Struct):
    """The part of a first line that every version of the format has."""

    event: str
    format: int
    rules: int


_decode_header: Final = msgspec.json.Decoder(_Header).decode


def lean(event_type: type[E]) -> type[E]:
    """Return the lean form of an event class: the same fields, at a fifth of the cost.

    Use it where many events are made or read. ``full`` converts a lean event to the event itself.
    """
    return cast("type[E]", _FORMS[event_type].struct)


LEAN_CAUSE: Final = cast("type[FiredRule]", _CAUSE.struct)
"""The lean form of an edge's cause; only lean edges have it."""


def as_lean(event: E) -> E:
    """Convert an event, lean or not, to its lean form."""
    return cast("E", _to_wire(cast("Any", event)))


def is_lean(event: Event) -> bool:
    """Whether the event is in its lean form."""
    return type(event) not in _FORMS


def packed(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint in lean form with its state as JSON text, for encoding only.

    It needs half the memory of the lean form.
    """
    return lean(Checkpoint)(
        checkpoint.seq,
        checkpoint.at,
        checkpoint.breaker,
        cast("Any", msgspec.Raw(_encode(checkpoint.state))),
        checkpoint.part,
        checkpoint.parts,
    )


class _StateLine(msgspec.Struct, tag_field="event", tag="checkpoint"):
    """A checkpoint that takes one line."""

    seq: int
    at: int
    breaker: str
    state: msgspec.Raw


def checkpoint_line(seq: int, at: int, breaker: str, state: bytes) -> bytes:
    """Return the line of a checkpoint that takes one line, with its LF.

    Args:
        seq: The event's ``seq``.
        at: The event's time, in nanoseconds of the log.
        breaker: The breaker's name.
        state: The state, as JSON.
    """
    return _encode(_StateLine(seq, at, breaker, msgspec.Raw(state))) + b"\n"


def full(event: E) -> E:
    """Convert an event, lean or not, to its own class."""
    form = _FORM_OF_STRUCT.get(cast("Any", type(event)))
    return event if form is None else cast("E", form.from_wire(cast("Any", event)))


def encode(event: Event) -> bytes:
    """Return the line of an event, with its LF.

    Raises:
        LogError: The line is longer than a reader accepts.
    """
    line = _encode(_to_wire(event)) + b"\n"
    if len(line) >= MAX_LINE_BYTES:
        _check_lengths(line)
    return line


def _check_lengths(lines: bytes) -> None:
    """Check that no line is longer than a reader accepts.

    The limits on input make such a line impossible; this is the last check.

    Raises:
        LogError: A line is too long.
    """
    for line in lines.splitlines(keepends=True):
        if len(line) >= MAX_LINE_BYTES:
            raise LogError(
                f"a line of {len(line):,} bytes can't be read back, because a line must be shorter "
                f"than {MAX_LINE_BYTES:,} bytes; it begins {line[:_SHOWN].decode(errors='replace')}"
            )


def around_outcome(
    event: CallSucceeded | CallFailed | CallIgnored,
) -> tuple[bytes, bytes, bytes, bytes]:
    """Split the line of an outcome around its ``seq``, ``at`` and ``took``.

    Args:
        event: An outcome whose ``seq`` is 0, ``at`` is 1 and ``took`` is 2.

    Returns:
        The text before ``seq``, the text from there to ``at``, the text from there to ``took``, and
        the rest.
    """
    before_seq, _, rest = encode(event).partition(b"0")
    before_at, _, rest = rest.partition(b"1")
    # This can't occur inside a string: there, a backslash precedes each quotation mark.
    before_took, took, end = rest.partition(b',"took":2')
    return before_seq, before_at, before_took + took[:-1], end


def encode_all(events: Sequence[Event]) -> Iterator[bytes]:
    """Yield the lines of events, many at a time.

    Args:
        events: Lean events, or others with their state changes after them.

    Raises:
        LogError: A line is longer than a reader accepts.
    """
    if not events:
        return
    if not is_lean(events[-1]):
        yield _checked(_encode_lines([_to_wire(event) for event in events]))
        return
    rest = iter(events)  # lean events are outcomes: none is a state change, and none has any
    # msgspec keeps a reference to an iterator it was given, and so to the events; it gets lists.
    while part := list(islice(rest, _BATCH)):
        yield _checked(_encode_lines(part))


def _checked(lines: bytes) -> bytes:
    if len(lines) >= MAX_LINE_BYTES:
        _check_lengths(lines)
    return lines


def _to_wire(event: Event) -> object:
    form = _FORMS.get(type(event))
    return event if form is None else form.to_wire(event)


def decode(line: bytes) -> Event:
    """Decode the event of a line.

    Raises:
        DamagedLogError: The line holds no event. The caller adds the place.
    """
    try:
        wire = _decoder.decode(line)
        return cast("Event", _FORM_OF_STRUCT[type(wire)].from_wire(wire))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedLogError(f"no event can be read here: {error}") from error


def decode_lines(lines: bytes, count: int) -> Sequence[Event] | None:
    """Decode many lines into lean events, in half the time of one after another.

    Args:
        lines: Whole lines.
        count: Number of lines.

    Returns:
        The events; None if the lines are not ``count`` events. Then ``decode``, line by line, finds
        the one that is not.
    """
    try:
        events = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return cast("Sequence[Event]", events) if len(events) == count else None


def check_header(line: bytes, where: str) -> None:
    """Check that a first line opens a log that this library can read.

    Args:
        line: The line.
        where: The place, for the error messages.

    Raises:
        NotALogError: The line does not open a log.
        FutureVersionError: The line opens a log of a later version.
    """
    try:
        header = _decode_header(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        header = None
    if header is None or header.event != "log_opened":
        raise NotALogError(
            f"{where}: this is not a recloser log: it does not begin with a log_opened event; recloser "
            "import makes a log of other traces"
        )
    if header.format > FORMAT_VERSION:
        raise FutureVersionError(
            f"{where}: the log has format version {header.format}; this library reads up to "
            f"{FORMAT_VERSION}: upgrade recloser"
        )
    if header.rules > RULES_VERSION:
        raise FutureVersionError(
            f"{where}: the log was decided under rules version {header.rules}; this library knows "
            f"up to {RULES_VERSION}: upgrade recloser"
        )
