"""Gaps in a log, after which checkpoints say what the states are, and not the events before."""

from recloser.core.events import Event


class GapWatch:
    """Follows the events of a log to know whether lost events explain what comes next.

    Attributes:
        is_gap: Whether events were lost, and only checkpoints and seals have followed since.
        is_joined: Whether a ``log_gap`` replaced the rest of a segment, so that the header of the
            next segment, its edges and its checkpoints are about states that can't be known.
    """

    __slots__ = ("is_gap", "is_joined")

    def __init__(self) -> None:
        self.is_gap = False
        self.is_joined = False

    def update(self, event: Event) -> None:
        """Update the attributes by the next event of the log."""
        if event.kind == "log_gap":
            self.is_gap = True
            self.is_joined = self.is_joined or event.chain is not None
        elif event.kind in ("checkpoint", "log_sealed"):
            pass
        elif not (self.is_joined and event.kind in ("log_opened", "state_changed")):
            self.is_gap = self.is_joined = False
