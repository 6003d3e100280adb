"""Round trips to the server: send one entry, and read and fold new ones."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from recloser.live.live_log import Log
from recloser.sharing.connection import Exchange, StreamConnection
from recloser.sharing.outbox import Batch
from recloser.sharing.shared_sequencer import StreamSequencer, do_nothing
from recloser.sharing.stream_entry import Entry, EntryId, Fields, StreamCheckpoint, entry_fields
from recloser.sharing.stream_fold import StreamFold

SPACING_SECONDS: Final = 0.002
"""Seconds between two round trips, and between two parts of a page."""

STANDSTILL_NS: Final = 10_000_000
"""Ids that keep the same milliseconds for this long show that the server's clock was set back."""

_START_CHECK_NS: Final = 1_000_000_000
"""Nanoseconds between two checks that a new member would find an entry to start from."""

_LINES_AT_ONCE: Final = 500
"""After this number of events the lock is released, so that calls do not wait for a whole page."""

_NS_PER_MS: Final = 1_000_000


class RoundTrips:
    """The round trips of one log, made one after the other by the log's thread.

    Only the log's thread calls ``run``, so the order of entries is the order of its round trips. The
    network is used without a lock. Each part of a page is folded under the sequencer's lock; between
    two parts the thread pauses, so that callers waiting for the lock are served.

    Args:
        log: The log, for messages.
        connection: The connection to the server.
        keep_entries: The least number of entries that stay in the stream when it is trimmed.
        now_ns: Reads the monotonic time, in nanoseconds.
        wait: Waits for a number of seconds, or until the log is closed.
        wake: Makes the log's thread start another round trip at once.

    Attributes:
        passed_over: Number of entries that could not be read or folded.
        ids_stand_still: Whether the server's clock was set back, so that senders add the time.
    """

    def __init__(
        self,
        log: Log,
        connection: StreamConnection,
        *,
        keep_entries: int,
        now_ns: Callable[[], int],
        wait: Callable[[float], object],
        wake: Callable[[], None],
    ) -> None:
        self.passed_over = 0
        self.ids_stand_still = False
        self._log = log
        self._connection = connection
        self._keep_entries = keep_entries
        self._now_ns = now_ns
        self._wait = wait
        self._wake = wake
        self._start_checked_ns = self._read_ns = 0

    def check_start_soon(self) -> None:
        """Check in the next round trip that a new member would find a start."""
        self._start_checked_ns = 0

    def run(
        self,
        stream: StreamSequencer,
        stream_fold: StreamFold,
        batch: Batch | None,
        *,
        member: str,
        ring: bool,
    ) -> bool:
        """Send an entry, and read until the end of the stream.

        Args:
            stream: The sequencer that folds the entries.
            stream_fold: The fold of the entries read so far.
            batch: The entry to send; None sends none.
            member: The name of this process in the stream.
            ring: Whether other members should read the entry at once.

        Returns:
            Whether other members should read at once and were not asked to.

        Raises:
            StreamAwayError: The server cannot be reached.
            StreamChangedError: The stream has lost the entries that were read.
        """
        trim_to = None
        if batch is not None and isinstance(batch.body, StreamCheckpoint):
            trim_to = stream_fold.trim_position(self._keep_entries)
        is_news = False
        while True:
            before_ns = self._now_ns()
            position = stream_fold.position
            fields = self._fields(stream, batch, member, before_ns)
            reply = self._connection.exchange(
                position,
                send=fields,
                ring=ring and fields is not None,
                trim_to=trim_to,
                expect=self._entry_to_check(stream_fold, before_ns),
            )
            after_ns = self._now_ns()
            earliest_ns = self._earliest(reply, position, before_ns)
            for first, end in _parts(reply.entries):
                fold = partial(stream.fold_entries, stream_fold, reply.entries[first:end], member)
                is_news |= stream.hold(fold, lambda: False)
                if end and stream_fold.position != reply.entries[end - 1].id:
                    # ``hold`` did not fold them: another thread has kept the lock for long. The
                    # position is unchanged, so the next round trip reads the same entries again.
                    return is_news
                if end < len(reply.entries):
                    self._wait(SPACING_SECONDS)  # callers may be waiting for the lock
            self._read_ns = after_ns
            self._report_passed_over(stream_fold)
            if not reply.has_expected:
                stream.hold(partial(self._add_start, stream, stream_fold), do_nothing)
            if reply.entries and reply.entries[-1].is_large:
                # The entry at the position is fetched in each round trip. A small entry after it
                # makes that cheap again.
                stream.hold(partial(stream.outbox.add_body, (), after_ns), do_nothing)
            if reply.is_at_end:
                # The server read its clock after ``before_ns`` and before ``after_ns``: these bound
                # the monotonic time at which the stream's time was 0.
                earliest = None if earliest_ns is None else earliest_ns - stream_fold.at_by_id
                ended = partial(
                    stream.end_round, latest_ns=after_ns - stream_fold.fold.at, earliest_ns=earliest
                )
                stream.hold(ended, do_nothing)
                return is_news and not ring
            batch = trim_to = None

    def _fields(
        self, stream: StreamSequencer, batch: Batch | None, member: str, now_ns: int
    ) -> Fields | None:
        """Return the fields of an entry to send; drop an entry that is too large."""
        if batch is None:
            return None
        try:
            return entry_fields(
                member,
                batch.number,
                batch.body,
                replaces=batch.replaces,
                again=batch.again,
                at=max(0, now_ns - stream.origin) if self.ids_stand_still else None,
            )
        except (ValueError, OverflowError) as error:
            stream.hold(stream.outbox.drop_in_flight, do_nothing)
            self._log.notice(logging.WARNING, "%s: an entry is not sent: %s", self._log, error)
            return None

    def _entry_to_check(self, stream_fold: StreamFold, now_ns: int) -> EntryId | None:
        """Return the entry that a new member would start from, if a check is due."""
        if now_ns - self._start_checked_ns < _START_CHECK_NS:
            return None
        self._start_checked_ns = now_ns
        return stream_fold.start_entry

    def _add_start(self, stream: StreamSequencer, stream_fold: StreamFold) -> None:
        """Add a checkpoint for new members to a stream that something else has trimmed."""
        self._log.notice(
            logging.WARNING, "%s: something else has trimmed it; a checkpoint is added", self._log
        )
        stream.outbox.add_body(stream_fold.checkpoint(), self._now_ns())
        self._wake()

    def _earliest(self, reply: Exchange, position: EntryId, before_ns: int) -> int | None:
        """Return the earliest monotonic time at which the sent entry got its id."""
        if reply.sent_id is None:
            return None
        if reply.sent_id[0] == position[0]:
            # Redis never gives an id below the last one. If its clock was set back, ids keep the same
            # milliseconds and do not show the time. Two entries within ``STANDSTILL_NS`` prove nothing.
            self.ids_stand_still |= before_ns - self._read_ns >= STANDSTILL_NS
            return None
        self.ids_stand_still = False
        return before_ns - _NS_PER_MS

    def _report_passed_over(self, stream_fold: StreamFold) -> None:
        """Log once that there are entries that cannot be read."""
        if stream_fold.passed_over and not self.passed_over:
            self._log.notice(
                logging.WARNING,
                "%s: an entry cannot be read completely and is passed over, as are later ones like "
                "it: %s; health() counts them",
                self._log,
                stream_fold.fault,
            )
        self.passed_over = max(self.passed_over, stream_fold.passed_over)


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Cut a page into parts that are quick to fold; yield at least one part."""
    first = lines = 0
    for index, entry in enumerate(entries):
        lines += 1 + (len(entry.body) if isinstance(entry.body, tuple) else 0)
        if lines >= _LINES_AT_ONCE:
            yield first, index + 1
            first, lines = index + 1, 0
    if first < len(entries) or not entries:
        yield first, len(entries)
