"""The events that a log adds to those of its callers: headers, gaps, checkpoints and seals."""

from collections.abc import Iterable, Iterator

from recloser.core.checkpoint_parts import pieces_of
from recloser.core.events import Checkpoint, Event, LogSealed
from recloser.core.log_fold import LogFold
from recloser.core.state import dump
from recloser.log.codec import packed
from recloser.log.seals import SEAL_EVERY
from recloser.log.write_batch import Chunk


class OwnEvents:
    """Chunks of the log's own events, each folded before the next event is made.

    Args:
        fold: The fold of the log. It is ahead of what is recorded until the chunks are recorded too.
        unsealed: How many events since the last seal are before them.

    Attributes:
        chunks: The events, with the seals that are due.
        unsealed: How many events there are now since the last seal.
    """

    def __init__(self, fold: LogFold, unsealed: int) -> None:
        self.chunks: list[Chunk] = []
        self.unsealed = unsealed
        self._fold = fold

    def add(self, events: Iterable[Event]) -> None:
        """Fold events one by one, and append them to the chunks.

        Args:
            events: The events; each is made only when the one before it is folded.
        """
        for event in events:
            if isinstance(event, Checkpoint):
                self._fold.pass_by(event)
                event = packed(event)  # noqa: PLW2901  # the same event
            elif event.seq > self._fold.seq:
                self._fold.apply(event)
            self.chunks.append((event,))
            self.unsealed += 1
            if self.unsealed >= SEAL_EVERY:
                self.add_seal()

    def add_seal(self) -> None:
        """Append a seal for all events before it."""
        seal = LogSealed(self._fold.seq + 1, self._fold.at, 0, "")
        self._fold.apply(seal)
        self.chunks.append((seal,))
        self.unsealed = 0


def checkpoints_of(fold: LogFold, breaker: str) -> Iterator[Checkpoint]:
    """Yield the state of a breaker, from which a fold can start, in one part or several.

    Each part is made only after the part before it was appended, as it takes the next ``seq``.

    Args:
        fold: The fold of the log.
        breaker: The breaker's name.
    """
    for state, part, parts in pieces_of(dump(fold.breakers[breaker])):
        yield Checkpoint(fold.seq + 1, fold.at, breaker, state, part, parts)
