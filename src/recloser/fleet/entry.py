"""Entries of the stream: what a member sends, and what is read of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.errors import DamagedLogError
from recloser.events import Event
from recloser.log.codec import decode, encode

EntryId: TypeAlias = tuple[int, int]
"""Milliseconds of the server's clock, and a number within the millisecond."""

EVENTS_AT_ONCE: Final = 500
"""So many events an entry has at most; what stands behind them is not read."""

_LAST_IN_MS: Final = 2**64 - 1
_NUMBERS: Final = b',"seq":0,"at":0'
_KIND: Final = re.compile(rb'^\{"event":"\w+"')

Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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
        states: The breakers that are brought along, each as ``recloser.state.dump`` tells it.
    """

    generation: str
    format: int
    rules: int
    library: str
    session: int = 1
    seq: int = 0
    at: int = 0
    states: tuple[dict[str, object], ...] = ()


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
    """

    of: str
    begin: Begin
    anchor: int
    seq: int
    at: int
    ticked_at: int
    unsealed: int
    members: dict[str, int]
    states: tuple[dict[str, object], ...]


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
    """

    id: EntryId
    member: str
    batch: int
    body: Body
    replaces: bool = False


def read_entry(identity: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """The entry of an id and its fields; one that can't be read says nothing."""
    entry_id = parse_id(identity)
    try:
        member, batch = fields[b"member"].decode(), int(fields[b"batch"])
        body: Body = tuple(fields.get(b"events", b"").splitlines()[:EVENTS_AT_ONCE])
        for name, kind in _BODIES.items():
            if name in fields:
                body = msgspec.json.decode(fields[name], type=kind)
        if isinstance(body, Checkpointed):
            parse_id(body.of)
    except (KeyError, ValueError, msgspec.MsgspecError, RecursionError):
        return Entry(entry_id, "", 0, ())
    return Entry(entry_id, member, batch, body, b"replace" in fields)


def fields_of(
    member: str, batch: int, body: Body, *, replaces: bool = False
) -> dict[bytes, bytes | str | int]:
    """The fields of an entry that is to be sent."""
    fields: dict[bytes, bytes | str | int] = {b"member": member, b"batch": batch}
    if isinstance(body, tuple):
        fields[b"events"] = b"\n".join(body)
    for name, kind in _BODIES.items():
        if isinstance(body, kind):
            fields[name] = msgspec.json.encode(body)
    if replaces:
        fields[b"replace"] = 1
    return fields


def lines_of(events: Iterable[Event]) -> tuple[bytes, ...]:
    """The lines of events without the two numbers that the stream gives; theirs must be 0."""
    return tuple(encode(event)[:-1].replace(_NUMBERS, b"", 1) for event in events)


def event_of(line: bytes, seq: int, at: int) -> Event | None:
    """The event of a line, with its numbers; None if it can't be read."""
    match = _KIND.match(line)
    if match is None:
        return None
    try:
        event = decode(b'%b,"seq":%d,"at":%d%b' % (match[0], seq, at, line[match.end() :]))
    except DamagedLogError:
        return None
    # It may have brought numbers of its own.
    return event if (event.seq, event.at) == (seq, at) else None


def parse_id(identity: bytes | str) -> EntryId:
    """The two numbers of an id."""
    text = identity.decode() if isinstance(identity, bytes) else identity
    ms, _, number = text.partition("-")
    return int(ms), int(number)


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
