"""The cost of a proof, in replays of the same log and in memory: ``python tools/proof_cost.py [EVENTS]``.

Makes a log that breakers wrote and a trace of calls, each with EVENTS events and with a quarter of that
(by default, a million), to see what grows. Replays and proves each in a process of its own, and
prints the seconds of processor time, their ratio and the peak memory of the process, on Linux. The
ratio must be at most 20.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import support_path  # noqa: F401  # the next import needs it
from observed_calls import ObservedCall, write_trace

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock, TimeWindow
from recloser.core.events import Outcome

BREAKERS = 8
SETTINGS = CircuitBreakerConfig(
    window=TimeWindow(10, failure_rate=0.5, minimum_calls=20), recovery_timeout_seconds=5
)
MOST = 20

_MEASURED = """
import json, os, re, sys
from pathlib import Path
from recloser.core.config import CircuitBreakerConfig
from recloser import replay
from recloser.proof.proof import prove
what, path, settings = sys.argv[1:]
config = CircuitBreakerConfig.from_mapping(json.loads(settings)) if settings else None
if what == "replay":
    replay(path, config=config)
else:
    assert prove(path, config=config).holds
seconds = sum(os.times()[:4])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps([seconds, int(peak) / 1024]))
"""


def fails(call: int) -> bool:
    """Whether a call fails: outages of 2,000 calls take a tenth of the time."""
    return call // 2000 % 10 == 3


def record(path: Path, events: int) -> None:
    """Write a log of breakers that are called 400 times per second."""
    clock = ManualClock()
    with EventLog(path, clock=clock, durability="memory") as log:
        breakers = [CircuitBreaker(f"b{n}", SETTINGS, log=log) for n in range(BREAKERS)]
        for call in range(events):
            clock.advance(ns=2_500_000)
            breaker = breakers[call % BREAKERS]
            permit = breaker.before_call().permit
            if permit is not None and fails(call):
                breaker.after_failure(permit, "TimeoutError")
            elif permit is not None:
                breaker.after_success(permit)
            if call % 10_000 == 0:
                log.flush()


def trace(path: Path, events: int) -> None:
    """Write the calls of the same traffic, which overlap, as imported calls."""
    begun = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    write_trace(
        path,
        (
            ObservedCall(
                f"b{call % BREAKERS}",
                begun + call * 2_500_000,
                (call * 7919 % 50) * 1_000_000,
                Outcome.FAILED if fails(call) else Outcome.SUCCEEDED,
            )
            for call in range(events)
        ),
    )


def measured(what: str, path: Path, settings: str) -> tuple[float, float]:
    """Run a replay or a proof in a process of its own; returns its seconds and its peak MiB."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _MEASURED, what, str(path), settings],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def main() -> None:
    """Print one line for each log."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for events in (most // 4, most):
            for make, settings in (
                (record, ""),
                (trace, json.dumps(SETTINGS.to_mapping())),
            ):
                path = Path(folder) / f"{make.__name__}-{events}"
                make(path, events)
                replayed, memory = measured("replay", path, settings)
                proved, most_memory = measured("prove", path, settings)
                worst = max(worst, proved / replayed)
                print(
                    f"{make.__name__} {events:,}: replay {replayed:.1f} s, {memory:.0f} MiB; "
                    f"proof {proved:.1f} s, {most_memory:.0f} MiB; {proved / replayed:.1f} replays",
                    flush=True,
                )
    sys.exit(worst > MOST)


if __name__ == "__main__":
    main()
