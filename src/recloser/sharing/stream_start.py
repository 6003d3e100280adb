"""Find the entry from which a member can start to fold a stream.

If something else has trimmed the stream, it may hold neither. A member that has folded it then adds a
checkpoint. If no such member is running, because all were restarted, one of them restarts the stream
after the entries that are left.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from attrs import frozen

from recloser.core.events import FORMAT_VERSION, RULES_VERSION, BreakerConfigured
from recloser.errors import FutureVersionError, RecloserError
from recloser.sharing.connection import StreamConnection
from recloser.sharing.operator_commands import COMMANDS
from recloser.sharing.stream_entry import (
    Begin,
    Entry,
    EntryId,
    StreamCheckpoint,
    event_lines,
    format_id,
    parse_event,
    parse_id,
)
from recloser.sharing.stream_fold import StreamFold
from recloser.version import __version__

_UNKNOWN: Final = (
    "what operators had commanded before is not known: force open again what has to be"
)


@frozen
class StartPoint:
    """The result of the search for a start.

    Attributes:
        stream_fold: The fold at the start; None if there is no start.
        left: The entries of a stream that has no start, the oldest first.
    """

    stream_fold: StreamFold | None
    left: Sequence[Entry] = ()


def find_start(connection: StreamConnection, before: EntryId | None = None) -> StartPoint:
    """Find the newest checkpoint whose entry is in the stream, or the beginning.

    Args:
        connection: The connection to the server.
        before: Prefer a checkpoint of this entry or an earlier one. The entries after it are then
            folded again, so that listeners receive the edges of those that are new.

    Raises:
        LogError: The server cannot be reached.
        FutureVersionError: A newer version of recloser began the stream.
    """
    # Walk back from the end. A checkpoint is read before the entry that it describes; it is usable
    # when that entry is reached. Streams are trimmed at the front, so all later entries exist too.
    walked: list[Entry] = []
    later: StartPoint | None = None  # the newest usable start, if it is after ``before``
    checkpoints: dict[EntryId, StreamCheckpoint] = {}
    while page := connection.page_back(walked[-1].id if walked else None):
        for entry in page:
            walked.append(entry)
            if isinstance(entry.body, StreamCheckpoint):
                checkpoints[parse_id(entry.body.of)] = entry.body
            checkpoint = checkpoints.get(entry.id)
            stream_fold = None if checkpoint is None else _from_checkpoint(checkpoint)
            if stream_fold is None:
                continue
            start = StartPoint(_after_restarts(stream_fold, walked))
            if before is None or entry.id <= before:
                return start
            later = later or start
    # The whole stream was walked without a checkpoint early enough.
    oldest = next((n for n in reversed(range(len(walked))) if _is_begin(walked[n])), None)
    if later is not None and (oldest is None or before is None or walked[oldest].id > before):
        return later
    if oldest is None:
        return StartPoint(None, walked[::-1])
    stream_fold = _after_restarts(_from_begin(walked[oldest]), walked[:oldest])
    if stream_fold is None:
        return later or StartPoint(None, walked[::-1])
    return StartPoint(stream_fold)


def _is_begin(entry: Entry) -> bool:
    return isinstance(entry.body, Begin)


def _after_restarts(
    stream_fold: StreamFold | None, newest_first: Sequence[Entry]
) -> StreamFold | None:
    """Return the fold from the last entry that restarts the stream, or the given one."""
    for entry in reversed(newest_first):
        if _is_begin(entry) and (stream_fold is None or stream_fold.is_restarted_by(entry)):
            stream_fold = _from_begin(entry)
    return stream_fold


def _from_checkpoint(checkpoint: StreamCheckpoint) -> StreamFold | None:
    try:
        return StreamFold.from_checkpoint(checkpoint)
    except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
        return None  # damaged or forged; an older one may be usable


def _from_begin(entry: Entry) -> StreamFold | None:
    try:
        return StreamFold.from_begin(entry)[0]
    except FutureVersionError:
        raise
    except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def restart_after(
    left: Sequence[Entry],
    configured: Sequence[BreakerConfigured],
    generation: str,
    old: StreamFold | None,
) -> Begin:
    """Build the ``begin`` that restarts a stream after the entries that are left.

    Args:
        left: The entries that are left, the oldest first; at least one.
        configured: The settings of the breakers of this process.
        generation: The name of the new generation.
        old: The fold of the stream as this process knew it; None if it knew nothing.
    """
    checkpoints = [entry.body for entry in left if isinstance(entry.body, StreamCheckpoint)]
    if old is not None:
        checkpoints.append(old.checkpoint())
    checkpoints.sort(key=lambda checkpoint: parse_id(checkpoint.of))
    stream_fold = next(
        (
            stream_fold
            for checkpoint in reversed(checkpoints)
            if (stream_fold := _from_checkpoint(checkpoint))
        ),
        None,
    )
    known = "those of a checkpoint before, and of the entries that are left"
    further = list(left)
    if stream_fold is not None:
        further = [entry for entry in left if entry.id > stream_fold.position]
    else:
        begin = Begin("", FORMAT_VERSION, RULES_VERSION, __version__)
        stream_fold = StreamFold.from_remainder(begin, left[0])
        known = "new, except for the commands and settings in the entries that are left"
    own = Entry(left[0].id, "", 1, event_lines(configured))
    for entry in (own, *further):
        try:
            stream_fold.fold_entry(entry)
            _note_commands(stream_fold, entry)
        except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
            continue  # it depends on states that are lost
    lost = (
        f"the first entries of the stream are gone, and no process was there that knew all of them; "
        f"{len(left)} are left. It begins anew here, and the states are {known}; {_UNKNOWN}"
    )
    begin = stream_fold.next_generation(generation, __version__, stream_fold.fold.at)
    return msgspec.structs.replace(begin, upto=format_id(left[-1].id), lost=lost)


def _note_commands(stream_fold: StreamFold, entry: Entry) -> None:
    """Note the commands in an entry that are for breakers not known yet."""
    for line in entry.body if isinstance(entry.body, tuple) else ():
        event = parse_event(line, 0, 0)
        name = getattr(event, "breaker", "")
        if event is not None and event.kind in COMMANDS and name not in stream_fold.fold.breakers:
            stream_fold.commands.note(event, entry.again or entry.id)
