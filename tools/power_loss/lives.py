"""One life of a service: it writes, prints what was promised, and ends or is killed.

    python lives.py FOLDER LIFE PLAN

``PLAN`` is the ``Life`` as JSON. A line ``promised N`` on standard output is a promise: from then on, the
outcome with the duration of N nanoseconds, which no other outcome has, must survive any power loss.
"""

import json
import os
import signal
import sys
from pathlib import Path

import attrs

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog

_PER_LIFE = 1_000_000
_FLUSH_EVERY = 7


@attrs.frozen
class Life:
    """How a service lives.

    Attributes:
        number: Its position among the lives of one log, from 1.
        durability: The durability of its log.
        calls: How many outcomes it reports.
        is_killed: Whether it ends by SIGKILL, instead of closing its log.
        segment_bytes: The size at which its log rotates.
        keep_bytes: How much of its log is kept; None for all of it.
        work: ``serve``, or ``repair`` to run ``recloser repair --in-place``, or ``spoil`` to overwrite
            some bytes of the oldest segment, which is what a bad disk does.
    """

    number: int
    durability: str = "sync"
    calls: int = 20
    is_killed: bool = False
    segment_bytes: int = 4096
    keep_bytes: int | None = None
    work: str = "serve"


def main() -> None:
    """Run the life that the command line describes."""
    folder, life = Path(sys.argv[1]), Life(**json.loads(sys.argv[2]))
    if life.work == "spoil":
        _spoil(folder)
    elif life.work == "repair":
        from recloser.cli import main as recloser

        sys.argv = ["recloser", "repair", str(folder), "--in-place", "--yes"]
        recloser()
    else:
        _serve(folder, life)


def _serve(folder: Path, life: Life) -> None:
    log = EventLog(
        folder,
        durability=life.durability,  # type: ignore[arg-type]  # a word of the plan
        segment_bytes=life.segment_bytes,
        keep_bytes=life.keep_bytes,
    )
    config = CircuitBreakerConfig(failure_threshold=4, recovery_timeout_seconds=0.001)
    breakers = [CircuitBreaker(name, config, log=log) for name in ("payments", "search")]
    reported: list[int] = []
    call = 0
    while len(reported) < life.calls:
        call += 1
        breaker = breakers[call % 3 == 0]
        decision = breaker.before_call()
        if decision.permit is None:
            continue
        name = life.number * _PER_LIFE + call
        if call % 5 < 2:
            breaker.after_failure(decision.permit, "TimeoutError", took_ns=name)
        else:
            breaker.after_success(decision.permit, took_ns=name)
        reported.append(name)
        if life.durability == "sync":
            _promise([name])
        elif call % _FLUSH_EVERY == 0:
            log.flush()
    if life.is_killed:
        log.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    log.close()
    if life.durability == "batch":
        _promise(reported)


def _promise(names: list[int]) -> None:
    os.write(1, b"".join(b"promised %d\n" % name for name in names))


def _spoil(folder: Path) -> None:
    """Overwrite some bytes in the middle of the oldest segment."""
    segment = min(folder.glob("*.jsonl*"))
    descriptor = os.open(segment, os.O_WRONLY)
    os.pwrite(descriptor, b"#" * 40, segment.stat().st_size // 2)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    main()
