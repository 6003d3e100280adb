"""Writes a log of any length, of breakers that trip now and then, for measurements.

python tests/support/long_log.py OUT --events 10000000 --breakers 20
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from recloser import CircuitBreaker, CircuitBreakerConfig, CountWindow, EventLog, ManualClock

FLUSH_EVERY = 10_000
STEP_NS = 1_000_000
TRIPS_EVERY = 200_000


def write(
    out: Path,
    events: int,
    breakers: int,
    *,
    segment_bytes: int = 8 << 20,
    trips_every: int = TRIPS_EVERY,
    flush_every: int = FLUSH_EVERY,
) -> None:
    """Write about ``events`` events, one call per millisecond, with outages of one breaker each."""
    clock = ManualClock()
    config = CircuitBreakerConfig(
        failure_threshold=5, window=CountWindow(100, 0.5), recovery_timeout_seconds=1
    )
    with EventLog(
        out, durability="memory", clock=clock, host="", segment_bytes=segment_bytes, compress=False
    ) as log:
        all_of_them = [CircuitBreaker(f"b{n:04}", config, log=log) for n in range(breakers)]
        for call in range(events):
            clock.advance(ns=STEP_NS)
            breaker = all_of_them[call % breakers]
            is_turn = call // trips_every % breakers == call % breakers
            is_out = is_turn and call % trips_every > trips_every - 12 * breakers
            decision = breaker.before_call()
            if decision.permit is None:
                continue
            if is_out:
                breaker.after_failure(decision.permit, "TimeoutError", took_ns=STEP_NS)
            else:
                breaker.after_success(decision.permit, took_ns=STEP_NS)
            if call % flush_every == 0:
                log.flush()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit status 0, as errors are raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--breakers", type=int, default=20)
    options = parser.parse_args(arguments)
    write(options.out, options.events, options.breakers)
    return 0


if __name__ == "__main__":
    sys.exit(run())
