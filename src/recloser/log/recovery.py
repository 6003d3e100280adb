"""Opening a log that is there: the fold of its end, from the last checkpoints on."""

from collections.abc import Sequence
from pathlib import Path

from recloser.errors import LogError
from recloser.events import LogOpened
from recloser.limits import LAST_OPENED_SEQ, LAST_SESSION, MAX_LINE_BYTES
from recloser.log.reader import open_segment, segment_readers, segments_in
from recloser.log.tail import Tail
from recloser.logfold import LogFold


def recover(folder: Path) -> tuple[LogFold, Tail]:
    """The state that the log in a folder folds to, and how the log ends.

    Every segment begins with the checkpoints of all breakers, so its last one is enough; an older
    one is read only where a crash came before those were written.

    Raises:
        LogError: What is in the folder can't be read, or is not whole.
    """
    _drop_headless(folder)
    segments = segments_in(folder)
    for first in range(len(segments) - 1, -1, -1):
        recovered = _fold(segments[first:], is_whole_log=first == 0)
        if recovered is not None:
            _check_room(folder, recovered[0])
            return recovered
    return LogFold(), Tail()


def _check_room(folder: Path, fold: LogFold) -> None:
    """Check that a further session can't reach numbers that no line holds.

    Raises:
        LogError: It could.
    """
    session = 0 if fold.opened is None else fold.opened.session
    for what, number, most in (
        ("seq", fold.seq, LAST_OPENED_SEQ),
        ("session", session, LAST_SESSION),
    ):
        if number > most:
            raise LogError(
                f"{folder}: nothing can be written behind this log, whose {what} stands at "
                f"{number:,}; move it away, and a new one begins"
            )


def _fold(segments: Sequence[Path], *, is_whole_log: bool) -> tuple[LogFold, Tail] | None:
    """The fold of these segments; None if they do not begin with the state of all breakers."""
    fold = LogFold()
    tail = Tail()
    missing = 0
    for reader in segment_readers(segments):
        for event in reader:
            if fold.opened is None and isinstance(event, LogOpened):
                missing = event.checkpoints
            elif missing and event.kind == "checkpoint":
                missing -= event.part == event.parts
            elif missing and not is_whole_log and event.kind not in _BEFORE_CHECKPOINTS:
                return None
            fold.apply(event)
        tail = reader.tail
    if missing and not is_whole_log:
        return None
    return fold, tail


_BEFORE_CHECKPOINTS = ("state_changed", "log_gap", "log_sealed", "clock_ticked")


def _drop_headless(folder: Path) -> None:
    """Remove a last segment that holds no whole line: its process died before its first event."""
    for segment in segments_in(folder)[-1:]:
        with open_segment(segment) as stream:
            if not stream.readline(MAX_LINE_BYTES).endswith(b"\n"):
                segment.unlink()
