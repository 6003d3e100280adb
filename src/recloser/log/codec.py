"""Events to lines and back.

The wire form of an event is derived from its class in ``recloser.core.events``: the same fields in the
same order behind ``event``, with what has its default value left out. Decoding is strict: a field
that is missing, unknown or of another type is an error.
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
_AT_ONCE: Final = 1024
"""The lines of so many events fit into memory that was just let go; new memory costs a third more."""

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
"""By the name of a field, what it holds where that is less than any whole number from 0 up."""


class _Form:
    """The wire form of one attrs class.

    ``msgspec`` reads and writes its own structs in the declared order and without defaults, which
    it does not do for attrs classes; this is the one place that knows of both.
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
    """What checks the fields of a struct as its attrs class would."""

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
    """As much of a first line as every version of the format has."""

    event: str
    format: int
    rules: int


_decode_header: Final = msgspec.json.Decoder(_Header).decode


def lean(event_type: type[E]) -> type[E]:
    """The lean form of an event class: the same fields, in an object that costs a fifth as much.

    It is for where many events are made or read. ``full`` makes the event itself of it.
    """
    return cast("type[E]", _FORMS[event_type].struct)


LEAN_CAUSE: Final = cast("type[FiredRule]", _CAUSE.struct)
"""The lean form of the cause of an edge, which only a lean edge has."""


def as_lean(event: E) -> E:
    """The event in its lean form, from either form."""
    return cast("E", _to_wire(cast("Any", event)))


def is_lean(event: Event) -> bool:
    """Whether the event is in its lean form."""
    return type(event) not in _FORMS


def packed(checkpoint: Checkpoint) -> Checkpoint:
    """The lean form of a checkpoint, its state as text: a half of the memory, and to be encoded only."""
    return lean(Checkpoint)(
        checkpoint.seq,
        checkpoint.at,
        checkpoint.breaker,
        cast("Any", msgspec.Raw(_encode(checkpoint.state))),
        checkpoint.part,
        checkpoint.parts,
    )


class _StateLine(msgspec.Struct, tag_field="event", tag="checkpoint"):
    """A checkpoint of one part."""

    seq: int
    at: int
    breaker: str
    state: msgspec.Raw


def checkpoint_line(seq: int, at: int, breaker: str, state: bytes) -> bytes:
    """The line of a checkpoint of one part, whose state is given as JSON."""
    return _encode(_StateLine(seq, at, breaker, msgspec.Raw(state))) + b"\n"


def full(event: E) -> E:
    """The event of its class, from either form."""
    form = _FORM_OF_STRUCT.get(cast("Any", type(event)))
    return event if form is None else cast("E", form.from_wire(cast("Any", event)))


def encode(event: Event) -> bytes:
    """The event's line, with its newline.

    Raises:
        LogError: It would be longer than a reader takes.
    """
    line = _encode(_to_wire(event)) + b"\n"
    if len(line) >= MAX_LINE_BYTES:
        _refuse_long(line)
    return line


def _refuse_long(lines: bytes) -> None:
    """Check that no line is longer than a reader takes, which nothing that was accepted leads to.

    Raises:
        LogError: One is.
    """
    for line in lines.splitlines(keepends=True):
        if len(line) >= MAX_LINE_BYTES:
            raise LogError(
                f"a line of {len(line):,} bytes can't be read back, as {MAX_LINE_BYTES:,} are too "
                f"many; it begins {line[:_SHOWN].decode(errors='replace')}"
            )


def around_outcome(
    event: CallSucceeded | CallFailed | CallIgnored,
) -> tuple[bytes, bytes, bytes, bytes]:
    """The texts of an outcome's line: before ``seq``, before ``at``, before ``took``, and after it.

    Args:
        event: Such an outcome, with 0, 1 and 2 for these.
    """
    before_seq, _, rest = encode(event).partition(b"0")
    before_at, _, rest = rest.partition(b"1")
    # No text in the line contains this: in a text, each quotation mark follows a backslash.
    before_took, took, end = rest.partition(b',"took":2')
    return before_seq, before_at, before_took + took[:-1], end


def encode_all(events: Sequence[Event]) -> Iterator[bytes]:
    """The lines of the events, in parts: lean ones, or any with their witnesses behind them.

    Raises:
        LogError: One would be longer than a reader takes.
    """
    if not events:
        return
    if not is_lean(events[-1]):
        yield _checked(_encode_lines([_to_wire(event) for event in events]))
        return
    rest = iter(events)  # none of them is a witness, or has any
    # A list each time: msgspec never lets go of an iterator, nor so of what it is over.
    while part := list(islice(rest, _AT_ONCE)):
        yield _checked(_encode_lines(part))


def _checked(lines: bytes) -> bytes:
    if len(lines) >= MAX_LINE_BYTES:
        _refuse_long(lines)
    return lines


def _to_wire(event: Event) -> object:
    form = _FORMS.get(type(event))
    return event if form is None else form.to_wire(event)


def decode(line: bytes) -> Event:
    """The event of a line.

    Raises:
        DamagedLogError: The line holds no event; the caller knows where it stands.
    """
    try:
        wire = _decoder.decode(line)
        return cast("Event", _FORM_OF_STRUCT[type(wire)].from_wire(wire))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedLogError(f"no event can be read here: {error}") from error


def decode_lines(lines: bytes, count: int) -> Sequence[Event] | None:
    """The events of many lines, all in their lean forms, in half the time of one after another.

    None if they are not ``count`` events: ``decode``, line by line, then tells which is none.
    """
    try:
        events = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return cast("Sequence[Event]", events) if len(events) == count else None


def check_header(line: bytes, where: str) -> None:
    """Check that a first line opens a log that this library can read.

    Raises:
        NotALogError: It opens none.
        FutureVersionError: It opens one of a later version.
    """
    try:
        header = _decode_header(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        header = None
    if header is None or header.event != "log_opened":
        raise NotALogError(
            f"{where}: this is no recloser log: it does not begin with a log_opened event"
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
