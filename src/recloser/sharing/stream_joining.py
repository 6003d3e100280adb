"""Join a stream: find its start, read it to its end, and go online."""

import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import Final

from recloser.core.events import FORMAT_VERSION, RULES_VERSION
from recloser.errors import LogError
from recloser.live.live_log import Log
from recloser.sharing.connection import StreamConnection
from recloser.sharing.round_trips import STANDSTILL_NS, RoundTrips
from recloser.sharing.shared_sequencer import StreamSequencer, do_nothing
from recloser.sharing.stream_entry import Begin
from recloser.sharing.stream_fold import StreamFold
from recloser.sharing.stream_start import find_start, restart_after
from recloser.version import __version__

_RETRY_SECONDS: Final = 0.25
_RESTART_SECONDS: Final = 2.5
"""Seconds to wait for a member that gives a stream a start, before this one restarts it."""


class StreamJoining:
    """Brings a member online, in the log's thread.

    Args:
        log: The log, for messages.
        connection: The connection to the server.
        round_trips: Sends and reads entries.
        now_ns: Reads the monotonic time, in nanoseconds.
        wait: Waits for a number of seconds; returns whether the log is being closed.
    """

    def __init__(
        self,
        log: Log,
        connection: StreamConnection,
        round_trips: RoundTrips,
        *,
        now_ns: Callable[[], int],
        wait: Callable[[float], bool],
    ) -> None:
        self._log = log
        self._connection = connection
        self._round_trips = round_trips
        self._now_ns = now_ns
        self._wait = wait
        self._reported_generation = ""

    def join(self, stream: StreamSequencer, member: str, *, is_changed: bool) -> StreamFold:
        """Read the stream to its end, send what must be there first, and go online.

        Args:
            stream: The sequencer of the member.
            member: The name of this process in the stream.
            is_changed: Whether the stream has lost entries, so that it must be found again.

        Returns:
            The fold that the member uses now.

        Raises:
            LogError: The server cannot be reached, or the log is closed meanwhile.
        """
        self._connection.reconnect()
        old = stream.stream_fold
        if not stream.notified.has_begun:
            # Listeners receive what happens from now on.
            stream.notified.begin((self._connection.now_us() // 1000, 0))
        stream.hold(stream.begin_joining, do_nothing)
        stream_fold = None if is_changed or stream.must_reread else old
        if stream_fold is None:
            stream_fold = self._find(stream, member)
            if old is not None and old.begin.generation != stream_fold.begin.generation:
                stream.notified.begin(stream_fold.start)
        self._round_trips.check_start_soon()
        self._round_trips.run(stream, stream_fold, None, member=member, ring=False)
        is_online = False
        while not is_online:
            # Entries may arrive at any moment, so after each round trip the member asks again whether
            # something must be sent first. ``go_online`` checks it once more under the lock.
            batch = stream.hold(partial(stream.batch_before_rejoining, stream_fold), lambda: None)
            ring = batch is not None
            self._round_trips.run(stream, stream_fold, batch, member=member, ring=ring)
            if batch is None:
                at = self._present_at(stream, stream_fold)
                is_online = stream.hold(partial(stream.go_online, stream_fold, at), lambda: False)
        return stream_fold

    def report_lost(self, stream_fold: StreamFold) -> None:
        """Log once what is unknown of a stream that was restarted."""
        begin = stream_fold.begin
        if begin.lost and begin.generation != self._reported_generation:
            self._reported_generation = begin.generation
            self._log.notice(logging.WARNING, "%s: %s", self._log, begin.lost)

    def _present_at(self, stream: StreamSequencer, stream_fold: StreamFold) -> int:
        """Return the stream's present time, in nanoseconds of the log.

        It is that of the server's clock, unless the ids are ahead of that clock.
        """
        at = stream_fold.at_of_us(self._connection.now_us())
        self._round_trips.ids_stand_still = at + STANDSTILL_NS < stream_fold.at_by_id
        if self._round_trips.ids_stand_still and stream_fold is stream.stream_fold:
            at = stream.read_at()
        return max(at, stream_fold.fold.at)

    def _find(self, stream: StreamSequencer, member: str) -> StreamFold:
        """Return a fold at the start of the stream; create a start if there is none."""
        old = stream.stream_fold
        before = None if old is None else old.position
        since_ns = self._now_ns()
        while True:
            start = find_start(self._connection, before)
            if start.stream_fold is not None:
                return start.stream_fold
            generation = uuid.uuid4().hex
            if not start.left:
                # Several members may do this at once: the first ``begin`` in the stream is the one
                # that all of them find in the next round, and the others are ignored.
                self._connection.begin(member, 0, self._beginning(stream, generation))
            elif self._now_ns() - since_ns >= _RESTART_SECONDS * 1e9:
                own = stream.own_settings()
                self._connection.begin(member, 0, restart_after(start.left, own, generation, old))
            elif self._wait(_RETRY_SECONDS):
                raise LogError("the log is closed")

    def _beginning(self, stream: StreamSequencer, generation: str) -> Begin:
        stream_fold = stream.stream_fold
        if stream_fold is None:
            self._log.notice(
                logging.WARNING,
                "%s: the stream does not exist; it is started with every breaker CLOSED. If it "
                "existed before, commands that operators gave in it are lost",
                self._log,
            )
            return Begin(generation, FORMAT_VERSION, RULES_VERSION, __version__)
        return stream.reading(
            lambda _fold, at: stream_fold.next_generation(generation, __version__, at)
        )
