"""Following a log while it is written, rotated and compressed."""

from collections.abc import Iterator
from pathlib import Path

from recloser.errors import NotALogError
from recloser.events import Event
from recloser.log.reader import LogReader, number_of, segments_in


class LogFollower:
    """Hands out a log's events as they come, each once and in order.

    A poll reads what has been written since the last one. As with ``LogReader``, an event is handed
    out once its seal has been checked; a writer seals at the latest a second behind it.

    Args:
        path: The log's folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seq = 0
        self._segment = 0

    def poll(self) -> Iterator[Event]:
        """The events sealed since the last poll.

        Raises:
            LogError: The log is damaged, or none.
        """
        segments = [s for s in segments_in(self.path) if number_of(s) >= self._segment]
        for segment in segments:
            is_last = segment == segments[-1]
            yield from self._new_events(segment, is_last=is_last)
            self._segment = number_of(segment)

    def _new_events(self, segment: Path, *, is_last: bool) -> Iterator[Event]:
        unsealed: list[Event] = []
        try:
            for event in LogReader(segment):
                if event.seq <= self._seq:
                    continue
                unsealed.append(event)
                if event.kind == "log_sealed":
                    yield from self._hand_out(unsealed)
        except NotALogError:
            if not is_last:
                raise
            return  # its first line is still being written
        if not is_last:
            yield from self._hand_out(unsealed)

    def _hand_out(self, events: list[Event]) -> Iterator[Event]:
        handed_out = list(events)
        events.clear()
        for event in handed_out:
            self._seq = event.seq
            yield event
