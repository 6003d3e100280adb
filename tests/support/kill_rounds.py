"""Kills a process that writes to a log with SIGKILL, at random moments and repeatedly.

With the durability ``sync`` every outcome that was acknowledged must be in the log; with ``batch``
every outcome that was acknowledged longer before the kill than the promised interval.

    python tests/support/kill_rounds.py LOG DURABILITY     # the process that is killed
"""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import attrs

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, SystemClock
from recloser.history.engine import replay
from recloser.live.writer_thread import BATCH_SECONDS
from recloser.log.reader import LogReader

THREADS: Final = 4
# Delay that a busy machine may add to the promised interval before the writer's thread runs.
_GRACE_NS: Final = 450_000_000
_WINDOW_NS: Final = round(BATCH_SECONDS * 1e9) + _GRACE_NS


@attrs.define
class Rounds:
    """Result of some rounds.

    Attributes:
        rounds: How many rounds there were.
        acknowledged: How many outcomes were acknowledged.
        promised: How many of them must be in the log.
        missing: How many of the promised ones are not.
        torn: In how many rounds the log ended with a torn line.
    """

    rounds: int = 0
    acknowledged: int = 0
    promised: int = 0
    missing: int = 0
    torn: int = 0


def write_until_killed(folder: Path, durability: str) -> None:
    """Call a breaker until killed; print the name and the time in ns of each acknowledged outcome."""
    clock = SystemClock()
    log = EventLog(folder, durability=durability)  # type: ignore[arg-type]  # from the command line
    config = CircuitBreakerConfig(failure_threshold=4, recovery_timeout_seconds=0.002)
    breaker = CircuitBreaker("b", config, log=log)

    def work(number: int) -> None:
        chance = random.Random(number)
        call = 0
        while True:
            decision = breaker.before_call()
            if decision.permit is None:
                continue
            call += 1
            # The duration identifies the call among those of all processes.
            name = (os.getpid() * 10 + number) * 1_000_000 + call
            report = breaker.after_failure if chance.random() < 0.2 else breaker.after_success
            report(decision.permit, took_ns=name)
            os.write(1, b"%d %d\n" % (name, clock.monotonic_ns()))

    for number in range(1, THREADS + 1):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    threading.Event().wait()


def kill_rounds(folder: Path, rounds: int, durability: str) -> Rounds:
    """Kill the process repeatedly, and look in its log for the outcomes that it had acknowledged."""
    result = Rounds()
    chance = random.Random(rounds)
    for number in range(rounds):
        # Ten rounds share one log, so that it is reopened often and does not grow too long.
        log = folder / f"log-{number // 10}"
        acknowledged, killed_at = _run_and_kill(log, durability, chance.random() * 0.1)
        reader = LogReader(log)
        recorded = {e.took for e in reader if e.kind in ("call_succeeded", "call_failed")}
        limit = killed_at if durability == "sync" else killed_at - _WINDOW_NS
        promised = {name for name, at in acknowledged.items() if at <= limit}
        result.rounds += 1
        result.acknowledged += len(acknowledged)
        result.promised += len(promised)
        result.missing += len(promised - recorded)
        result.torn += reader.tail.torn > 0
        if replay(log).differences:
            raise AssertionError(f"{log}: the replayed history differs from its witnesses")
    return result


def _run_and_kill(log: Path, durability: str, seconds: float) -> tuple[dict[int, int], int]:
    command = [sys.executable, __file__, str(log), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        threading.Event().wait(seconds if durability == "sync" else seconds + 0.5)
        process.kill()
        killed_at = SystemClock().monotonic_ns()
        lines = (first + process.stdout.read()).splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith(b"\n")]
    return {int(name): int(at) for name, at in whole}, killed_at


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), sys.argv[2])
