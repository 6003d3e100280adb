"""How long it takes to open a log of millions of events, and to fold it whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.effort import Effort
from bench.results import Group, Series
from bench.timing import timed
from recloser import CircuitBreaker, EventLog, replay

OPEN: Final = "recloser, open"
FOLD: Final = "recloser, fold it whole"

_BLOCK: Final = 4096
_OPENINGS: Final = 3


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure milliseconds. Opening starts from a checkpoint, so it does not grow with the log."""
    path = folder / "opened"
    with EventLog(path, durability="memory", tick_seconds=None) as log:
        fast_path = CircuitBreaker("payments", log=log).fast_path
        assert fast_path.admit_token is not None
        at = fast_path.monotonic_ns() - fast_path.origin
        for number in range(0, effort.opened, _BLOCK):
            for _ in range(min(_BLOCK, effort.opened - number)):
                fast_path.call_buffer.record(at, 700, fast_path.admit_token)
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
