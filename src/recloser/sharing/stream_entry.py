"""Entries of the stream: what a member sends, and what is read of it."""

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
"""Milliseconds of the server's clock, and a number within the millisecond."""

Fields: TypeAlias = dict[bytes, bytes | str | int]
"""The fields of an entry on its way to the server."""

EVENTS_AT_ONCE: Final = 500
"""So many events an entry has at most; what stands behind them is not read."""

MAX_EVENTS_BYTES: Final = 2 << 20
"""The events of an entry are no longer than this together; a longer entry is passed over."""

LARGEST_FIGURE: Final = 2**62
"""The largest number in a beginning or checkpoint: its sum with others can still be written."""

MAX_BODY_BYTES: Final = 64 << 20
"""A beginning, a checkpoint or an absence takes no more than this."""

_LONGEST_MEMBER: Final = 100
_LONGEST_FAULT: Final = 200
_NUMBER: Final = re.compile(rb"^[0-9]{1,19}\Z")
_ID: Final = re.compile(r"^([0-9]{1,20})-([0-9]{1,20})\Z")
_LAST_IN_MS: Final = 2**64 - 1
_NUMBERS: Final = b',"seq":0,"at":0'
_KIND: Final = re.compile(rb'^\{"event":"\w+"')

Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Figure: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FIGURE)]


class Commanded(msgspec.Struct, frozen=True):
    """The last command of an operator that a breaker was given.

    Attributes:
        of: The id of the entry that first said it.
        line: Its event.
    """

    of: str
    line: str


class Begin(msgspec.Struct, frozen=True):
    """The stream begins.

    Attributes:
        generation: Names this stream, and no other that had the same key.
        format: Version of the log's format.
        rules: Version of the decision rules.
        library: Version of recloser.
        session: Counts the generations from 1.
        seq: That of the last event before it.
        at: The time at which it begins, in nanoseconds.
        states: The breakers that are brought along, each as ``recloser.core.state.dump`` tells it.
        commands: The last commands of operators, as far as they are known.
        upto: Where entries without a beginning stand before it, the id of the last of them.
        lost: What is not known, where something is lost; for people to read.
    """

    generation: str
    format: Figure
    rules: Figure
    library: str
    session: Figure = 1
    seq: Figure = 0
    at: Figure = 0
    states: tuple[dict[str, object], ...] = ()
    commands: tuple[Commanded, ...] = ()
    upto: str = ""
    lost: str = ""


class Checkpointed(msgspec.Struct, frozen=True):
    """All there is to know when the entry ``of`` has been folded.

    Attributes:
        of: The id of that entry.
        begin: How the stream began, without the states.
        anchor: The milliseconds of the id of its first entry.
        seq: That of the last event.
        at: Its time.
        ticked_at: When the clock was last read.
        unsealed: Events since the last seal.
        members: The last batch of each member.
        states: Every breaker.
        commands: The last commands of operators.
        shift: By how much the time of the log is ahead of that of the ids, in nanoseconds.
        clock: The last milliseconds of an id that can be those of a clock.
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
    commands: tuple[Commanded, ...] = ()
    shift: Figure = 0
    clock: Figure = 0


class Away(msgspec.Struct, frozen=True):
    """What a member did on its own.

    Attributes:
        host: Its machine.
        seconds: How long.
        sent: How many of its outcomes it could send when it was back.
        lost: How many it could not.
        edges: The edges that it took on its own, and gave up.
    """

    host: str
    seconds: float
    sent: Natural
    lost: Natural
    edges: tuple[str, ...] = ()


Body: TypeAlias = Begin | Checkpointed | Away | tuple[bytes, ...]
"""What an entry says; lines of events where it is none of the three."""

_BODIES: Final = {b"begin": Begin, b"checkpoint": Checkpointed, b"away": Away}


@frozen
class Entry:
    """An entry that was read.

    Attributes:
        id: Its place in the stream.
        member: Who sent it.
        batch: Which of its entries it is.
        body: What it says.
        replaces: Whether a configuration in it replaces another.
        again: The entry that first said what is put back by this one; None where nothing is.
        at: The time of the log in nanoseconds by its sender; None unless the ids stand still.
        fault: Why it can't be read, or not to the end; None where it can.
        is_large: Whether it can't be read and is so large that it should not be fetched again.
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


def read_entry(identity: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """The entry of an id and its fields; one that can't be read says nothing, but why."""
    entry_id = parse_id(identity)
    try:
        return _read(entry_id, fields)
    except KeyError as error:
        fault = f"it has no field {error.args[0].decode()!r}"
    except msgspec.MsgspecError:
        fault = "it holds no JSON of the form that it should have"
    except (ValueError, RecursionError) as error:
        fault = str(error)[:_LONGEST_FAULT]
    is_large = sum(map(len, fields.values())) > MAX_EVENTS_BYTES
    return Entry(entry_id, "", 0, (), fault=fault, is_large=is_large)


def _read(entry_id: EntryId, fields: Mapping[bytes, bytes]) -> Entry:
    member = fields[b"member"][: _LONGEST_MEMBER + 1].decode()
    if len(member) > _LONGEST_MEMBER:
        raise ValueError(f"its member has a name of more than {_LONGEST_MEMBER} characters")
    batch = _number(fields, b"batch")
    body: Body | None = None
    if b"events" in fields:
        body = _lines(fields[b"events"])
    for name, kind in _BODIES.items():
        if name in fields:
            _check_size(name, fields[name], MAX_BODY_BYTES)
            body = msgspec.json.decode(fields[name], type=kind)
    if isinstance(body, Checkpointed) and parse_id(body.of) >= entry_id:
        raise ValueError("its checkpoint is of an entry after it")
    if isinstance(body, Begin) and body.upto:
        parse_id(body.upto)
    fault = None
    if body is None:
        body, fault = (), "it says nothing that this version of recloser knows"
    again = parse_id(fields[b"again"]) if b"again" in fields else None
    return Entry(
        entry_id,
        member,
        batch,
        body,
        b"replace" in fields,
        again,
        _number(fields, b"at") if b"at" in fields else None,
        fault,
    )


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int:
    text = fields[name]
    if not _NUMBER.match(text) or int(text) > LARGEST_FIGURE:
        raise ValueError(f"its {name.decode()} is not a number, or too large")
    return int(text)


def _lines(events: bytes) -> tuple[bytes, ...]:
    _check_size(b"events", events, MAX_EVENTS_BYTES)
    return tuple(events.split(b"\n", EVENTS_AT_ONCE)[:EVENTS_AT_ONCE]) if events else ()


def _check_size(name: bytes, text: bytes, limit: int) -> None:
    # Before anything is read of it: to read it would keep all threads waiting.
    if len(text) > limit:
        raise ValueError(
            f"the size of its {name.decode()} is {len(text):,} bytes; the limit is {limit:,}"
        )


def fields_of(
    member: str,
    batch: int,
    body: Body,
    *,
    replaces: bool = False,
    again: str = "",
    at: int | None = None,
) -> Fields:
    """The fields of an entry that is to be sent.

    Raises:
        ValueError: It would be too large to be read.
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


def lines_of(events: Iterable[Event]) -> tuple[bytes, ...]:
    """The lines of events without the two numbers that the stream gives; theirs must be 0."""
    return tuple(encode(event)[:-1].replace(_NUMBERS, b"", 1) for event in events)


def event_of(line: bytes, seq: int, at: int) -> Event | None:
    """The event of a line, with its numbers; None if it can't be read."""
    match = _KIND.match(line)
    if match is None or len(line) > MAX_LINE_BYTES:
        return None
    try:
        event = decode(b'%b,"seq":%d,"at":%d%b' % (match[0], seq, at, line[match.end() :]))
    except DamagedLogError:
        return None
    if not 1 <= getattr(event, "count", 1) <= MAX_COUNT:
        return None
    # It may have brought numbers of its own.
    return event if (event.seq, event.at) == (seq, at) else None


def parse_id(identity: bytes | str) -> EntryId:
    """The two numbers of an id.

    Raises:
        ValueError: It is none.
    """
    text = identity.decode() if isinstance(identity, bytes) else identity
    match = _ID.match(text)
    if match is None or max(map(int, match.groups())) > _LAST_IN_MS:
        raise ValueError(f"{text[:50]!r} is no id of an entry")
    return int(match[1]), int(match[2])


def id_text(entry_id: EntryId) -> str:
    """The id as Redis writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def just_before(entry_id: EntryId) -> str:
    """The id behind which this one is the first that there can be."""
    ms, number = entry_id
    return id_text((ms, number - 1) if number else (ms - 1, _LAST_IN_MS))


def read_entries(rows: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Entry]:
    """The entries that a reply of the server tells of."""
    return [read_entry(identity, fields) for identity, fields in rows]
