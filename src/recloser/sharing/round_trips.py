"""Round trips to the server of a stream: send one entry, and read and fold what has come."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from recloser.live.live_log import Log
from recloser.sharing.connection import Exchange, Server
from recloser.sharing.outbox import Batch
from recloser.sharing.shared_sequencer import StreamSequencer, do_nothing
from recloser.sharing.stream_entry import Checkpointed, Entry, EntryId, Fields, fields_of
from recloser.sharing.stream_fold import Course

SPACING_SECONDS: Final = 0.002
"""Seconds between two round trips, and between two parts of a page."""

STANDS_NS: Final = 10_000_000
"""Ids with the same milliseconds for so long show that the server's clock is earlier than they are."""

_START_NS: Final = 1_000_000_000
"""Nanoseconds between two checks that a new process would find an entry to start from."""

_LINES_AT_ONCE: Final = 500
"""After this number of events the lock is released, so that calls do not wait for a whole page."""

_NS_PER_MS: Final = 1_000_000


class Rounds:
    """The round trips of one log, which its thread makes one after the other.

    Args:
        log: The log, for messages.
        server: The connection.
        keep_entries: The least number of entries that stay in the stream when it is trimmed.
        now_ns: Reads the monotonic hand.
        wait: Waits for a number of seconds, or until the log is closed.
        wake: Has the log's thread make another round at once.

    Attributes:
        passed_over: The number of entries that could not be read or folded.
        stands_still: Whether the ids of the stream stand still, so that senders give the time.
    """

    def __init__(
        self,
        log: Log,
        server: Server,
        *,
        keep_entries: int,
        now_ns: Callable[[], int],
        wait: Callable[[float], object],
        wake: Callable[[], None],
    ) -> None:
        self.passed_over = 0
        self.stands_still = False
        self._log = log
        self._server = server
        self._keep_entries = keep_entries
        self._now_ns = now_ns
        self._wait = wait
        self._wake = wake
        self._looked_ns = self._read_ns = 0

    def look_soon(self) -> None:
        """Check in the next round that a new process would find an entry to start from."""
        self._looked_ns = 0

    def go(
        self,
        stream: StreamSequencer,
        course: Course,
        batch: Batch | None,
        *,
        member: str,
        ring: bool,
    ) -> bool:
        """Send an entry, and read until there is nothing more.

        Args:
            stream: The sequencer that folds what is read.
            course: The course of the stream up to now.
            batch: The entry to send; None if there is none.
            member: The name of this process in the stream.
            ring: Whether other processes should read the entry at once.

        Returns:
            Whether other processes should read something at once that they were not told of.

        Raises:
            StreamAwayError: The server can't be reached.
            StreamChangedError: The stream is not the one of the course any more.
        """
        trim_to = None
        if batch is not None and isinstance(batch.body, Checkpointed):
            trim_to = course.trims_to(self._keep_entries)
        is_news = False
        while True:
            before_ns = self._now_ns()
            position, say = course.position, self._fields(stream, batch, member, before_ns)
            got = self._server.exchange(
                position,
                say=say,
                ring=ring and say is not None,
                trim_to=trim_to,
                look_for=self._looked_for(course, before_ns),
            )
            after_ns = self._now_ns()
            earliest_ns = self._earliest(got, position, before_ns)
            for first, last in _parts(got.entries):
                taken = partial(stream.take, course, got.entries[first:last], member)
                is_news |= stream.hold(taken, lambda: False)
                if last and course.position != got.entries[last - 1].id:
                    return is_news  # another thread holds the lock for long: they are read again
                if last < len(got.entries):
                    self._wait(SPACING_SECONDS)  # others wait for the lock
            self._read_ns = after_ns
            self._report_passed_over(course)
            if not got.has_start:
                stream.hold(partial(self._give_start, stream, course), do_nothing)
            if got.entries and got.entries[-1].is_large:
                # The last entry is fetched again in each round trip, until there is another one.
                stream.hold(partial(stream.outbox.add_body, (), after_ns), do_nothing)
            if got.is_whole:
                earliest = None if earliest_ns is None else earliest_ns - course.at_by_id
                ended = partial(
                    stream.end_round, latest_ns=after_ns - course.fold.at, earliest_ns=earliest
                )
                stream.hold(ended, do_nothing)
                return is_news and not ring
            batch = trim_to = None

    def _fields(
        self, stream: StreamSequencer, batch: Batch | None, member: str, now_ns: int
    ) -> Fields | None:
        """The fields of an entry to send; an entry that is too large is given up."""
        if batch is None:
            return None
        try:
            return fields_of(
                member,
                batch.number,
                batch.body,
                replaces=batch.replaces,
                again=batch.again,
                at=max(0, now_ns - stream.origin) if self.stands_still else None,
            )
        except (ValueError, OverflowError) as error:
            stream.hold(stream.outbox.give_up_sent, do_nothing)
            self._log.notice(logging.WARNING, "%s: an entry is not sent: %s", self._log, error)
            return None

    def _looked_for(self, course: Course, now_ns: int) -> EntryId | None:
        """The entry that a new process would start from, if it is time to look for it."""
        if now_ns - self._looked_ns < _START_NS:
            return None
        self._looked_ns = now_ns
        return course.rests_on

    def _give_start(self, stream: StreamSequencer, course: Course) -> None:
        """Add a checkpoint for new processes to a stream that something else has trimmed."""
        self._log.notice(
            logging.WARNING, "%s: something else has trimmed it; a checkpoint is added", self._log
        )
        stream.outbox.add_body(course.checkpoint(), self._now_ns())
        self._wake()

    def _earliest(self, got: Exchange, position: EntryId, before_ns: int) -> int | None:
        """The earliest monotonic time at which the server's clock can have shown the sent id."""
        if got.sent is None:
            return None
        if got.sent[0] == position[0]:
            # The server's clock may be earlier than the ids, which then do not show the time.
            self.stands_still |= before_ns - self._read_ns >= STANDS_NS
            return None
        self.stands_still = False
        return before_ns - _NS_PER_MS

    def _report_passed_over(self, course: Course) -> None:
        """Report once that there are entries that can't be read."""
        if course.passed_over and not self.passed_over:
            self._log.notice(
                logging.WARNING,
                "%s: something in it can't be read and is passed over, as all is that is like it: "
                "%s; health() counts it",
                self._log,
                course.fault,
            )
        self.passed_over = max(self.passed_over, course.passed_over)


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Cut a page into parts that each take little time to fold; yields one part at least."""
    first = lines = 0
    for number, entry in enumerate(entries):
        lines += 1 + (len(entry.body) if isinstance(entry.body, tuple) else 0)
        if lines >= _LINES_AT_ONCE:
            yield first, number + 1
            first, lines = number + 1, 0
    if first < len(entries) or not entries:
        yield first, len(entries)
