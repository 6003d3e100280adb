"""Find the entry from which a process can start to fold a stream: a checkpoint or the beginning.

A stream that something else has trimmed may hold neither. A process that has folded it adds a
checkpoint then. If there is no such process, as all were started again, one of them begins the
stream anew after the entries that are left.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from attrs import frozen

from recloser.core.events import FORMAT_VERSION, RULES_VERSION, BreakerConfigured
from recloser.errors import FutureVersionError, RecloserError
from recloser.sharing.connection import Server
from recloser.sharing.operator_commands import COMMANDS
from recloser.sharing.stream_entry import (
    Begin,
    Checkpointed,
    Entry,
    EntryId,
    event_of,
    id_text,
    lines_of,
    parse_id,
)
from recloser.sharing.stream_fold import Course
from recloser.version import __version__

_UNKNOWN: Final = (
    "what operators had commanded before is not known: force open again what has to be"
)


@frozen
class Start:
    """What there is to start from.

    Attributes:
        course: The course at the start; None where there is none.
        left: The entries of a stream without a start, the oldest first.
    """

    course: Course | None
    left: Sequence[Entry] = ()


def found_start(server: Server, before: EntryId | None = None) -> Start:
    """The start of a stream: the newest checkpoint of an entry that is there, or the beginning.

    Args:
        server: Where the stream is.
        before: A checkpoint of this entry, or of one before it, is taken if there is one: what came
            after it is folded then, and listeners receive it.

    Raises:
        LogError: The server can't be reached.
        FutureVersionError: The stream was begun by a version that is not known.
    """
    walked: list[Entry] = []
    later: Start | None = None
    kept: dict[EntryId, Checkpointed] = {}
    while page := server.page_back(walked[-1].id if walked else None):
        for entry in page:
            walked.append(entry)
            if isinstance(entry.body, Checkpointed):
                kept[parse_id(entry.body.of)] = entry.body
            checkpoint = kept.get(entry.id)
            course = None if checkpoint is None else _restored(checkpoint)
            if course is None:
                continue
            start = Start(_after_cuts(course, walked))
            if before is None or entry.id <= before:
                return start
            later = later or start
    oldest = next((n for n in reversed(range(len(walked))) if _is_begin(walked[n])), None)
    if later is not None and (oldest is None or before is None or walked[oldest].id > before):
        return later
    if oldest is None:
        return Start(None, walked[::-1])
    course = _after_cuts(_begun(walked[oldest]), walked[:oldest])
    if course is None:
        return later or Start(None, walked[::-1])
    return Start(course)


def _is_begin(entry: Entry) -> bool:
    return isinstance(entry.body, Begin)


def _after_cuts(course: Course | None, newest_first: Sequence[Entry]) -> Course | None:
    """The course of what comes after the last entry with which the stream begins anew."""
    for entry in reversed(newest_first):
        if _is_begin(entry) and (course is None or course.is_cut_by(entry)):
            course = _begun(entry)
    return course


def _restored(kept: Checkpointed) -> Course | None:
    try:
        return Course.restored(kept)
    except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
        return None  # there may be an older one that can be used


def _begun(entry: Entry) -> Course | None:
    try:
        return Course.begun(entry)[0]
    except FutureVersionError:
        raise
    except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def begun_anew(
    left: Sequence[Entry],
    configured: Sequence[BreakerConfigured],
    generation: str,
    old: Course | None,
) -> Begin:
    """Make the entry with which a stream begins anew, from the entries that are left.

    Args:
        left: The entries that are left, the oldest first; one at least.
        configured: The breakers of the process that begins it.
        generation: Names the new stream.
        old: What this process knows of the stream as it was.
    """
    kept = [entry.body for entry in left if isinstance(entry.body, Checkpointed)]
    if old is not None:
        kept.append(old.checkpoint())
    kept.sort(key=lambda each: parse_id(each.of))
    course = next((course for each in reversed(kept) if (course := _restored(each))), None)
    known = "those of a checkpoint before, and of the entries that are left"
    further = list(left)
    if course is not None:
        further = [entry for entry in left if entry.id > course.position]
    else:
        begin = Begin("", FORMAT_VERSION, RULES_VERSION, __version__)
        course = Course.remains(begin, left[0])
        known = "new, except for the commands and settings in the entries that are left"
    own = Entry(left[0].id, "", 1, lines_of(configured))
    for entry in (own, *further):
        try:
            course.take(entry)
            _note_commands(course, entry)
        except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
            continue  # it is of states that are not known any more
    lost = (
        f"the first entries of the stream are gone, and no process was there that knew all of them; "
        f"{len(left)} are left. It begins anew here, and the states are {known}; {_UNKNOWN}"
    )
    begin = course.next_generation(generation, __version__, course.fold.at)
    return msgspec.structs.replace(begin, upto=id_text(left[-1].id), lost=lost)


def _note_commands(course: Course, entry: Entry) -> None:
    """Note the commands that an entry holds of breakers that are not known yet."""
    for line in entry.body if isinstance(entry.body, tuple) else ():
        event = event_of(line, 0, 0)
        name = getattr(event, "breaker", "")
        if event is not None and event.kind in COMMANDS and name not in course.fold.breakers:
            course.commands.note(event, entry.again or entry.id)
