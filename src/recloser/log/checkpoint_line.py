"""A line of a log that holds a checkpoint, decoded only if it differs from the expected line."""

from typing import ClassVar, Literal

from recloser.core.events import Checkpoint
from recloser.core.state import BreakerState, dumped_json, is_readable
from recloser.errors import DamagedLogError, FoldError
from recloser.log.codec import checkpoint_line, decode


class CheckpointLine:
    """The line of a checkpoint.

    Args:
        seq: The event's ``seq``.
        at: The event's time, in nanoseconds of the log.
        breaker: The breaker's name.
        line: The line, with its LF.
    """

    __slots__ = ("at", "breaker", "line", "seq")
    kind: ClassVar[Literal["checkpoint"]] = "checkpoint"

    def __init__(self, seq: int, at: int, breaker: str, line: bytes) -> None:
        self.seq = seq
        self.at = at
        self.breaker = breaker
        self.line = line

    def is_of(self, state: BreakerState) -> bool:
        """Whether the line is exactly what this library writes for a state.

        Nearly all checkpoints are. If the line differs, it may still be the same state, written in
        another way: then compare what ``read`` returns.
        """
        line = checkpoint_line(self.seq, self.at, self.breaker, dumped_json(state))
        return line == self.line and is_readable(state)

    def read(self) -> Checkpoint:
        """Decode the checkpoint.

        Raises:
            FoldError: The line holds no checkpoint, or one of another breaker, ``seq`` or time.
        """
        try:
            event = decode(self.line)
        except DamagedLogError as error:
            raise FoldError(f"event {self.seq} (checkpoint): {error}") from error
        if isinstance(event, Checkpoint) and _key(event) == _key(self):
            return event
        raise FoldError(f"event {self.seq} (checkpoint): it is another event")


def _key(event: Checkpoint | CheckpointLine) -> tuple[int, int, str]:
    return event.seq, event.at, event.breaker
