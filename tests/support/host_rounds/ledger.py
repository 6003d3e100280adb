"""Ledger of the calls that a process made, which survives any interruption.

The ledger notes the begin of a call before asking the breaker, and its end after the breaker has
returned. Neither signals, other threads nor the garbage collector can interrupt an append to a list.
So a call with a begin and no end has at most one outcome, which may or may not be recorded.
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
        spare: The number of additional outcomes that may be recorded: calls of the parent that were
            in flight when this process was forked.
        baseline: Number of outcomes recorded before the first call of this process, by kind.
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
        """Note that a call has ended with an outcome that must be recorded."""
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
