"""Random calls and settings, and the history of a live breaker that gets these calls."""

import random
from array import array
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, CountWindow, Exponential, MemoryLog, Outcome, TimeWindow
from recloser.core.backoff import Constant
from recloser.core.events import CallObserved, LogOpened
from recloser.history.engine import replay
from recloser.history.live_driver import drive
from recloser.simulate.call_table import FAILED, IGNORED, SUCCEEDED, Calls

MS = 10**6
OPENED = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "", 1, "0")
OUTCOMES = {
    Outcome.SUCCEEDED: SUCCEEDED,
    Outcome.FAILED: FAILED,
    Outcome.IGNORED: IGNORED,
}


def calls_of(rows):
    """Build columns from rows of (start, took, code), in the order of starts, then of ends."""
    rows = sorted(rows, key=lambda row: row[0] + row[1])
    rows = sorted(rows, key=lambda row: row[0])
    return Calls(
        "b",
        array("q", (start for start, _, _ in rows)),
        array("q", (start + took for start, took, _ in rows)),
        array("q", (took for _, took, _ in rows)),
        bytes(code for _, _, code in rows),
    )


def trace_of(rows):
    names = {code: outcome for outcome, code in OUTCOMES.items()}
    ends = sorted(rows, key=lambda row: row[0] + row[1])
    yield OPENED
    for seq, (start, took, code) in enumerate(ends, start=2):
        yield CallObserved(seq, start + took, "b", start, took, names[code])


def windows(kind, length, slow):
    sizes = st.integers(1, 8)
    rates = st.sampled_from([0.1, 0.3, 0.5, 0.8, 1, Fraction(1, 3)])
    return st.builds(
        lambda size, rate, least, failures, slow_rate: kind(
            **{length: size}, failure_rate=rate, minimum_calls=least, failures=failures,
            slow_call_rate=slow_rate,
        ),
        sizes, rates, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 5)),
        st.one_of(st.none(), rates) if slow else st.none(),
    )  # fmt: skip


@st.composite
def configs(draw):
    slow = draw(st.booleans())
    threshold = draw(st.one_of(st.none(), st.integers(1, 5)))
    count = windows(CountWindow, "size", slow)
    window = draw(st.one_of(st.none(), count, windows(TimeWindow, "seconds", slow)))
    jitter = draw(st.sampled_from(["none", "full", "equal"]))
    backoff = draw(
        st.sampled_from(
            [Constant(jitter=jitter), Exponential(factor=2, max_seconds=9, jitter=jitter)]
        )
    )
    return CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        slow_call_seconds=draw(st.sampled_from([0, 0.3, 1])) if slow else None,
        recovery_timeout_seconds=draw(st.sampled_from([0, 0.2, 1, 3])),
        backoff=backoff,
        half_open_success_threshold=draw(st.integers(0, 3)),
        half_open_max_probes=draw(st.integers(1, 3)),
        half_open_window=draw(st.one_of(st.none(), st.none(), count)),
        half_open_timeout_seconds=draw(st.sampled_from([None, None, 0.5, 2])),
        probe_timeout_seconds=draw(st.sampled_from([0.2, 1, 60])),
    )  # fmt: skip


def rows_with(codes, size=60):
    """Draw calls in bursts of equal outcomes, with many equal times."""
    call = st.tuples(
        st.sampled_from([0, 0, 1, 1, 2, 5, 20]), st.sampled_from([0, 0, 1, 2, 3, 8, 40])
    )
    burst = st.tuples(st.sampled_from(codes), st.lists(call, min_size=1, max_size=12))

    def laid_out(bursts):
        at, rows = 0, []
        for code, calls in bursts:
            for gap, took in calls:
                at += gap * 100 * MS
                rows.append((at, took * 100 * MS, code))
        return rows[:size]

    return st.lists(burst, min_size=1, max_size=12).map(laid_out)


KNOWN = [SUCCEEDED, FAILED, FAILED, IGNORED]


def horizon(calls):
    return max(calls.ends)


def driven(rows, config):
    """Drive a live breaker; return its history, its edges and the times of rejected calls."""
    log = MemoryLog(tick_seconds=None)
    drive(trace_of(rows), config, log)
    history = replay(log)
    edges = [(edge.at, edge.trigger) for edge in history.edges]
    return history, edges, [event.at for event in log if event.kind == "call_rejected"]


def busy(seed):
    """Draw calls that overlap a lot, and settings whose windows hold many of them."""
    chance = random.Random(seed)
    gap, length = chance.choice([1, 10, 100, 400]), chance.choice([0, 5, 100, 600, 3000])
    share = chance.choice([0.02, 0.1, 0.3])
    at, outage, rows = 0, 0, []
    for _ in range(chance.randint(1, 150)):
        at += chance.randint(0, gap) * MS * chance.choice([0, 1, 1])
        if chance.random() < 0.03:
            outage = chance.randint(1, 25)
        failed = outage > 0 or chance.random() < share
        outage -= 1
        longest = chance.choice([0, length, length, 8 * length])
        code = IGNORED if chance.random() < 0.05 else FAILED if failed else SUCCEEDED
        rows.append((at, chance.randint(0, longest) * MS, code))
    return rows, [_busy_config(chance) for _ in range(5)]


def _busy_config(chance):
    slow = chance.random() < 0.3
    jitter = chance.choice(["none", "none", "none", "full", "equal"])
    count = {"size": chance.choice([1, 2, 5, 10, 20, 40])}
    length = chance.choice([None, count, {"seconds": chance.choice([1, 2, 3, 5, 10])}])
    return CircuitBreakerConfig(
        failure_threshold=chance.choice([None, 1, 2, 3, 5, 8]),
        window=length and {**length, **_busy_limits(chance, slow)},
        slow_call_seconds=chance.choice([0, 0.05, 0.3]) if slow else None,
        recovery_timeout_seconds=chance.choice([0, 0.05, 0.3, 1, 3]),
        backoff=chance.choice(
            [Constant(jitter=jitter), Exponential(factor=2, max_seconds=5, jitter=jitter)]
        ),
        half_open_success_threshold=chance.choice([0, 1, 1, 2, 3]),
        half_open_max_probes=chance.choice([1, 1, 2, 3]),
        half_open_window=chance.choice([None] * 4 + [{**count, **_busy_limits(chance, slow)}]),
        half_open_timeout_seconds=chance.choice([None, None, 0.1, 1]),
        probe_timeout_seconds=chance.choice([0.05, 0.5, 60]),
    )


def _busy_limits(chance, slow):
    return {
        "failure_rate": chance.choice([0.1, 0.2, "1/3", 0.5, 0.8, 1]),
        "minimum_calls": chance.choice([1, 2, 5, 10, 20]),
        "failures": chance.choice([None, None, 2, 5]),
        "slow_call_rate": chance.choice([0.1, 0.3, 0.6]) if slow else None,
    }
