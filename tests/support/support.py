"""Short ways to make breakers do what a test is about."""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from observed_calls import ObservedCall, write_trace

from recloser import CircuitBreaker, EventLog, ManualClock, Outcome
from recloser.core.events import Event
from recloser.log.codec import decode, encode
from recloser.log.reader import segments_of
from recloser.log.seals import SealChain, is_seal


class ServiceDownError(Exception):
    """What a call raises while the service is out."""


def work() -> str:
    """A call that goes well."""
    return "done"


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.after_failure(breaker.before_call().permit, "TimeoutError")


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.after_success(breaker.before_call().permit)


def rotated(path: Path, clock: ManualClock) -> list[Path]:
    """The segments of a new log of several, none of them compressed."""
    with EventLog(path, clock=clock, tick_seconds=None, segment_bytes=1500, compress=False) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            succeed(breaker, 2)
            log.flush()
    return segments_of(path)


def crash(log: EventLog) -> None:
    """End a log's process as SIGKILL would: what was written stays, and nothing more comes."""
    log.flush()
    log._buffer.is_closed = True
    log._end()


@contextmanager
def held_elsewhere(breaker: CircuitBreaker) -> Iterator[None]:
    """Another thread holds the lock of the breaker's log: what takes it never comes back."""
    with held_by_another_thread(breaker._sequencer._entry._lock):
        yield


@contextmanager
def held_by_another_thread(lock: AbstractContextManager[object]) -> Iterator[None]:
    """Another thread holds a lock: what takes it never comes back."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            may_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    try:
        yield
    finally:
        may_go.set()
        holder.join()


@contextmanager
def inside(breaker: CircuitBreaker) -> Iterator[None]:
    """This thread is in the middle of a change: what it does meanwhile waits for nothing."""
    with breaker._sequencer._entry._lock, breaker._sequencer._entry._inside:
        yield


def read_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def sealed_again(lines: Iterable[bytes]) -> bytes:
    """The lines with every ``seq`` counted anew and every seal made good."""
    chain = SealChain()
    kept = []
    for seq, line in enumerate(lines, start=1):
        renumbered = re.sub(rb'"seq":\d+', b'"seq":%d' % seq, line, count=1)
        if is_seal(renumbered):
            renumbered = chain.seal(seq, decode(renumbered).at)[1]
        else:
            chain.add(renumbered)
        kept.append(renumbered)
    return b"".join(kept)


def write_segment(path: Path, events: Iterable[Event]) -> Path:
    """A hand-made segment: the events, and one seal."""
    path.mkdir(parents=True, exist_ok=True)
    chain = SealChain()
    lines = []
    for event in events:
        lines.append(encode(event))
        chain.add(lines[-1])
        last = event
    lines.append(chain.seal(last.seq + 1, last.at)[1])
    segment = path / "000000000001.jsonl"
    segment.write_bytes(b"".join(lines))
    return segment


def write_traffic(path: Path, outcomes: str, every_ns: int = 10**9) -> Path:
    """Imported traffic of a breaker ``b``: a call every second, F for one that fails."""
    calls = [
        ObservedCall(
            "b", n * every_ns, 10**6, Outcome.FAILED if letter == "F" else Outcome.SUCCEEDED
        )
        for n, letter in enumerate(outcomes)
    ]
    write_trace(path, calls)
    return path
