"""How long it takes to open a log of millions of events, and to fold it whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.effort import Effort
from bench.results import Group, Series
from bench.timing import timed
from recloser import CircuitBreaker, EventLog, replay
from recloser.events import CallSucceeded
from recloser.log.codec import lean

OPEN: Final = "recloser, open"
FOLD: Final = "recloser, fold it whole"

_BLOCK: Final = 4096
_Succeeded: Final = lean(CallSucceeded)
_OPENINGS: Final = 3


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Milliseconds; opening starts from a checkpoint, so it does not grow with the log."""
    path = folder / "opened"
    with EventLog(path, durability="memory", tick_seconds=None) as log:
        gate = CircuitBreaker("payments", log=log).gate
        at = gate.monotonic_ns() - gate.origin
        for number in range(0, effort.opened, _BLOCK):
            block = range(min(_BLOCK, effort.opened - number))
            gate.pending += [_Succeeded(0, at, "payments", 0, 700) for _ in block]
            log.flush()

    def reopen() -> None:
        with EventLog(path) as log:
            CircuitBreaker("payments", log=log)

    opened = [timed(reopen) * 1000 for _ in range(_OPENINGS)]
    folded = [timed(lambda: replay(path)) * 1000]
    yield Group(
        "opening",
        f"Opening a log of {effort.opened:,} events",
        "ms",
        FOLD,
        (Series(FOLD, tuple(folded)), Series(OPEN, tuple(opened))),
    )
