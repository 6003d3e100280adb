"""Entries of the stream: build the fields to send, and parse those read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.core.events import Event
from recloser.core.limits import MAX_COUNT, MAX_LINE_BYTES
from recloser.errors import DamagedLogError
from recloser.log.codec import decode, encode

EntryId: TypeAlias = tuple[int, int]
"""The two parts of a Redis id: milliseconds of the server's clock, and a counter within them."""

Fields: TypeAlias = dict[bytes, bytes | str | int]
"""The fields of an entry, as redis-py sends them."""

MAX_ENTRY_EVENTS: Final = 500
"""The most events in one entry; further lines are not read."""

MAX_EVENTS_BYTES: Final = 2 << 20
"""The largest size of an entry's events, in bytes; a larger entry is passed over."""

MAX_FIGURE: Final = 2**62
"""The largest number in a ``begin`` or ``checkpoint``: sums with it still fit in 64 bits."""

MAX_BODY_BYTES: Final = 64 << 20
"""The largest size of a ``begin``, ``checkpoint`` or ``away`` body, in bytes."""

_LONGEST_MEMBER: Final = 100
_LONGEST_FAULT: Final = 200
_INTEGER: Final = re.compile(rb"^[0-9]{1,19}\Z")
_ID: Final = re.compile(r"^([0-9]{1,20})-([0-9]{1,20})\Z")
_LAST_IN_MS: Final = 2**64 - 1
_SEQ_AND_AT: Final = b',"seq":0,"at":0'
_KIND: Final = re.compile(rb'^\{"event":"\w+"')

Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Figure: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_FIGURE)]


class SavedCommand(msgspec.Struct, frozen=True):
    """An operator's command as checkpoints store it.

    Attributes:
        of: The id of the entry that held it first.
        line: Its event, as a line of an entry.
    """

    of: str
    line: str


class Begin(msgspec.Struct, frozen=True):
    """The body ``begin``: starts the stream, with the states of an earlier one.

    Attributes:
        generation: A random name of this stream, different for each stream under the same key.
        format: Version of the log's format.
        rules: Version of the decision rules.
        library: Version of recloser.
        session: Number of the generation, from 1.
        seq: The ``seq`` of the last event of the earlier stream; 0 without one.
        at: The log's time at the start, in nanoseconds.
        states: The state of each breaker brought along, as ``recloser.core.state.dump`` returns it.
        commands: The last commands of operators that are known.
        upto: In a restart, the id of the last entry that had no start before it; else empty.
        lost: For people: what is unknown because data were lost; else empty.
    """

    generation: str
    format: Figure
    rules: Figure
    library: str
    session: Figure = 1
    seq: Figure = 0
    at: Figure = 0
    states: tuple[dict[str, object], ...] = ()
    commands: tuple[SavedCommand, ...] = ()
    upto: str = ""
    lost: str = ""


class StreamCheckpoint(msgspec.Struct, frozen=True):
    """The body ``checkpoint``: the result of folding all entries up to ``of``.

    Attributes:
        of: The id of that entry.
        begin: The ``begin`` of the stream, without states and commands.
        anchor: The milliseconds in the id of the ``begin`` entry.
        seq: The ``seq`` of the last event.
        at: The time of the last event, in nanoseconds of the log.
        ticked_at: The time of the last tick, in nanoseconds of the log.
        unsealed: Number of events since the last seal.
        members: The last ``batch`` of each member.
        states: The state of each breaker.
        commands: The last commands of operators.
        shift: Nanoseconds by which the log's time is ahead of the times in ids.
        clock: The milliseconds in the last id that showed the time of a clock.
    """

    of: str
    begin: Begin
    anchor: Figure
    seq: Figure
    at: Figure
    ticked_at: Figure
    unsealed: Figure
    members: dict[str, Natural]
    states: tuple[dict[str, object], ...]
    commands: tuple[SavedCommand, ...] = ()
    shift: Figure = 0
    clock: Figure = 0


class OfflineReport(msgspec.Struct, frozen=True):
    """The body ``away``: what a member did while it could not reach the stream.

    Attributes:
        host: Name of the member's machine.
        seconds: Length of the offline period.
        sent: Number of its outcomes that are sent late.
        lost: Number of its outcomes that are not sent.
        edges: The edges that it discarded, each as ``BREAKER TRIGGER``.
    """

    host: str
    seconds: float
    sent: Natural
    lost: Natural
    edges: tuple[str, ...] = ()


Body: TypeAlias = Begin | StreamCheckpoint | OfflineReport | tuple[bytes, ...]
"""The body of an entry; a tuple of lines is the body ``events``."""

_BODIES: Final = {b"begin": Begin, b"checkpoint": StreamCheckpoint, b"away": OfflineReport}


@frozen
class Entry:
    """An entry that was read from the stream.

    Attributes:
        id: Its id.
        member: The name of the sender.
        batch: Position of the entry among the sender's entries.
        body: Its body.
        replaces: Whether settings in it replace those in the stream.
        again: The entry that first held the command that this one restores; None without one.
        at: The sender's estimate of the log's time in nanoseconds; None if the ids show the time.
        fault: Why it cannot be read completely; None if it can.
        is_large: Whether it cannot be read and is too large to be fetched again and again.
    """

    id: EntryId
    member: str
    batch: int
    body: Body
    replaces: bool = False
    again: EntryId | None = None
    at: int | None = None
    fault: str | None = None
    is_large: bool = False


def parse_entry(identity: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Parse an entry; one that cannot be read has no events, and a ``fault``."""
    entry_id = parse_id(identity)
    try:
        return _read(entry_id, fields)
    except KeyError as error:
        fault = f"it has no field {error.args[0].decode()!r}"
    except msgspec.MsgspecError:
        fault = "its JSON does not have the expected form"
    except (ValueError, RecursionError) as error:
        fault = str(error)[:_LONGEST_FAULT]
    is_large = sum(map(len, fields.values())) > MAX_EVENTS_BYTES
    return Entry(entry_id, "", 0, (), fault=fault, is_large=is_large)


def _read(entry_id: EntryId, fields: Mapping[bytes, bytes]) -> Entry:
    member = fields[b"member"][: _LONGEST_MEMBER + 1].decode()
    if len(member) > _LONGEST_MEMBER:
        raise ValueError(f"the name of its member has more than {_LONGEST_MEMBER} characters")
    batch = _integer(fields, b"batch")
    body: Body | None = None
    if b"events" in fields:
        body = _lines(fields[b"events"])
    for name, kind in _BODIES.items():
        if name in fields:
            _check_size(name, fields[name], MAX_BODY_BYTES)
            body = msgspec.json.decode(fields[name], type=kind)
    if isinstance(body, StreamCheckpoint) and parse_id(body.of) >= entry_id:
        raise ValueError("its checkpoint is of an entry after it")
    if isinstance(body, Begin) and body.upto:
        parse_id(body.upto)
    fault = None
    if body is None:
        body, fault = (), "it has no body that this version of recloser knows"
    again = parse_id(fields[b"again"]) if b"again" in fields else None
    return Entry(
        entry_id,
        member,
        batch,
        body,
        b"replace" in fields,
        again,
        _integer(fields, b"at") if b"at" in fields else None,
        fault,
    )


def _integer(fields: Mapping[bytes, bytes], name: bytes) -> int:
    text = fields[name]
    if not _INTEGER.match(text) or int(text) > MAX_FIGURE:
        raise ValueError(f"its {name.decode()} is not a number, or too large")
    return int(text)


def _lines(events: bytes) -> tuple[bytes, ...]:
    _check_size(b"events", events, MAX_EVENTS_BYTES)
    return tuple(events.split(b"\n", MAX_ENTRY_EVENTS)[:MAX_ENTRY_EVENTS]) if events else ()


def _check_size(name: bytes, text: bytes, limit: int) -> None:
    # Checked before parsing, which would keep the interpreter's lock for long.
    if len(text) > limit:
        raise ValueError(
            f"the size of its {name.decode()} is {len(text):,} bytes; the limit is {limit:,}"
        )


def entry_fields(
    member: str,
    batch: int,
    body: Body,
    *,
    replaces: bool = False,
    again: str = "",
    at: int | None = None,
) -> Fields:
    """Build the fields of an entry to send; parameters are those of ``Entry``.

    Raises:
        ValueError: The entry would be too large to be read.
    """
    fields: Fields = {b"member": member, b"batch": batch}
    if isinstance(body, tuple):
        fields[b"events"] = b"\n".join(body)
    for name, kind in _BODIES.items():
        if isinstance(body, kind):
            text = msgspec.json.encode(body)
            _check_size(name, text, MAX_BODY_BYTES)
            fields[name] = text
    if replaces:
        fields[b"replace"] = 1
    if again:
        fields[b"again"] = again
    if at is not None:
        fields[b"at"] = at
    return fields


def event_lines(events: Iterable[Event]) -> tuple[bytes, ...]:
    """Encode events, whose ``seq`` and ``at`` must be 0, as lines without these two."""
    return tuple(encode(event)[:-1].replace(_SEQ_AND_AT, b"", 1) for event in events)


def parse_event(line: bytes, seq: int, at: int) -> Event | None:
    """Decode a line as an event with this ``seq`` and ``at``; None if invalid."""
    match = _KIND.match(line)
    if match is None or len(line) > MAX_LINE_BYTES:
        return None
    try:
        event = decode(b'%b,"seq":%d,"at":%d%b' % (match[0], seq, at, line[match.end() :]))
    except DamagedLogError:
        return None
    if not 1 <= getattr(event, "count", 1) <= MAX_COUNT:
        return None
    # A line that brings a ``seq`` or ``at`` of its own is not valid.
    return event if (event.seq, event.at) == (seq, at) else None


def parse_id(identity: bytes | str) -> EntryId:
    """Parse an id as Redis writes it.

    Raises:
        ValueError: It is not an id.
    """
    text = identity.decode() if isinstance(identity, bytes) else identity
    match = _ID.match(text)
    if match is None or max(map(int, match.groups())) > _LAST_IN_MS:
        raise ValueError(f"{text[:50]!r} is not the id of an entry")
    return int(match[1]), int(match[2])


def format_id(entry_id: EntryId) -> str:
    """Return an id as Redis writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def just_before(entry_id: EntryId) -> str:
    """Return the greatest id below this one."""
    ms, number = entry_id
    return format_id((ms, number - 1) if number else (ms - 1, _LAST_IN_MS))


def parse_entries(rows: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Entry]:
    """Parse the entries in a reply of the server."""
    return [parse_entry(identity, fields) for identity, fields in rows]
