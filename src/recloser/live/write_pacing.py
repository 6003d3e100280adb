"""How callers give way to the thread that writes when they append faster than it can write."""

from typing import Final

from recloser.live.write_buffer import WriteBuffer
from recloser.log.appender import Appender
from recloser.process.bell import Bell

GIVE_WAY_SECONDS: Final = 0.005

PATIENCE: Final = 4
"""How many times callers give way to a write before the disk counts as stalled."""


class WritePacing:
    """Slows callers down while the write buffer fills, unless the disk has stalled.

    A caller gives way by waiting until a write is done, for 5 ms at most. Several callers may do so
    at once, and their changes of ``_patience`` may be lost or come late. It is only a measure of
    whether the disk has stalled, so this is harmless.

    Args:
        buffer: The write buffer.
    """

    def __init__(self, buffer: WriteBuffer) -> None:
        self._buffer = buffer
        self._patience = PATIENCE
        self._has_written = Bell()

    def note_written(self) -> None:
        """Note that a write is done, and let callers go on that give way."""
        self._patience = PATIENCE
        self._has_written.ring()

    def give_way(self, appender: Appender) -> None:
        """Wait for a moment if the buffer fills and the disk has not stalled.

        Args:
            appender: Writes to the disk.
        """
        if (
            self._buffer.is_filling
            and not self._has_stalled(appender)
            and not self._has_written.wait(GIVE_WAY_SECONDS)
        ):
            self._patience -= 1

    def call_buffer_limit(self, usual: int, appender: Appender) -> int:
        """Return how many calls may be buffered: fewer while the write buffer fills.

        Callers then take the lock more often, and give way to the thread that writes. If the disk has
        stalled, which may be for long, they take the lock for every call and wait for nothing.

        Args:
            usual: The limit while the write buffer does not fill.
            appender: Writes to the disk.
        """
        if not self._buffer.is_filling:
            return usual
        return 0 if self._has_stalled(appender) else usual // 8

    def _has_stalled(self, appender: Appender) -> bool:
        return appender.is_waiting_for_disk and self._patience <= 0

    def after_fork(self) -> None:
        """In a forked child: wait for no thread of the parent."""
        self._has_written = Bell()
