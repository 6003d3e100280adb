"""Ledger of the calls that a process made, which survives any interruption.

A call is begun before the breaker is asked, and ended once its breaker has returned. Appending to a
list is one step for signals, threads and the collector of garbage alike, so that a call that was
begun and is not ended is one whose outcome may or may not be recorded: at most one of it.
"""

from collections.abc import Mapping
from typing import Any, Final

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
IGNORED: Final = "ignored"
REJECTED: Final = "rejected"
KINDS: Final = (SUCCEEDED, FAILED, IGNORED, REJECTED)


class Book:
    """The calls of one process to one breaker.

    Attributes:
        spare: How many outcomes more may be recorded: calls of the parent that were under way when
            this process was forked.
        baseline: What was recorded, by kind, before the first call of this process.
    """

    def __init__(self, spare: int = 0, baseline: Mapping[str, int] | None = None) -> None:
        self.spare = spare
        self.baseline = dict(baseline or {})
        self._begun: list[None] = []
        self._ended: dict[str, list[None]] = {kind: [] for kind in KINDS}

    @property
    def most(self) -> int:
        """Largest number of outcomes that the memory of this process can hold."""
        return len(self._begun) + self.spare + sum(self.baseline.values())

    def begin(self) -> None:
        """Note that a call is about to be made."""
        self._begun.append(None)

    def end(self, kind: str) -> None:
        """Note that a call has ended, and its breaker returned as it should."""
        self._ended[kind].append(None)

    def report(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        certain = {kind: len(ends) for kind, ends in self._ended.items()}
        return {
            "certain": certain,
            "uncertain": len(self._begun) - sum(certain.values()),
            "spare": self.spare,
            "baseline": self.baseline,
        }
