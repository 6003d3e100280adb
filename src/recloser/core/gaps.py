"""Gaps in a log: from where on its checkpoints, and not the events before them, say what holds."""

from recloser.core.events import Event


class GapWatch:
    """Follows the events of a log, to know whether what was lost explains what comes next.

    Attributes:
        is_gap: Whether the events before are not all there were, and no event has come since.
        is_joined: Whether a ``log_gap`` stood for the rest of a segment, so that the header of the
            next one, its edges and its checkpoints are about states that nobody has seen.
    """

    __slots__ = ("is_gap", "is_joined")

    def __init__(self) -> None:
        self.is_gap = False
        self.is_joined = False

    def take(self, event: Event) -> None:
        """Take note of the next event."""
        if event.kind == "log_gap":
            self.is_gap = True
            self.is_joined = self.is_joined or event.chain is not None
        elif event.kind in ("checkpoint", "log_sealed"):
            pass
        elif not (self.is_joined and event.kind in ("log_opened", "state_changed")):
            self.is_gap = self.is_joined = False
