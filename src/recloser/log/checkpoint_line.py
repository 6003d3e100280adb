"""The line of a checkpoint, which is read only where it is not the one expected."""

from typing import ClassVar, Literal

from recloser.core.events import Checkpoint
from recloser.core.state import BreakerState, dumped, is_readable
from recloser.errors import DamagedLogError, FoldError
from recloser.log.codec import checkpoint_line, decode


class CheckpointLine:
    """The line of a checkpoint.

    Args:
        seq: Its ``seq``.
        at: Its time, in nanoseconds of the log.
        breaker: Its breaker.
        line: The line.
    """

    __slots__ = ("at", "breaker", "line", "seq")
    kind: ClassVar[Literal["checkpoint"]] = "checkpoint"

    def __init__(self, seq: int, at: int, breaker: str, line: bytes) -> None:
        self.seq = seq
        self.at = at
        self.breaker = breaker
        self.line = line

    def is_of(self, state: BreakerState) -> bool:
        """Whether it is the line that we write of a state, as nearly all are.

        If it is not, it may still be of this state, written in another way.
        """
        line = checkpoint_line(self.seq, self.at, self.breaker, dumped(state))
        return line == self.line and is_readable(state)

    def read(self) -> Checkpoint:
        """The checkpoint.

        Raises:
            FoldError: The line holds none.
        """
        try:
            event = decode(self.line)
        except DamagedLogError as error:
            raise FoldError(f"event {self.seq} (checkpoint): {error}") from error
        if isinstance(event, Checkpoint) and _place(event) == _place(self):
            return event
        raise FoldError(f"event {self.seq} (checkpoint): it is another event")


def _place(event: Checkpoint | CheckpointLine) -> tuple[int, int, str]:
    return event.seq, event.at, event.breaker
