"""Hand-made logs whose seals are valid and whose sizes, counts and times are absurd."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from recloser.core.events import GENESIS
from recloser.log.seals import SealChain

MOST: Final = 2**63 - 1
BEYOND: Final = 10**30

_WINDOW: Final[Mapping[str, Any]] = {"size": 10, "failure_rate": 0.5}
Event = Mapping[str, Any]


def opened(**changed: Any) -> Event:
    """The first event of a log."""
    wall = "2026-01-01T00:00:00Z"
    return {
        "event": "log_opened",
        "at": 0,
        "format": 1,
        "rules": 1,
        "session": 1,
        "wall": wall,
        "monotonic": 0,
        "boot_id": "",
        "host": "h",
        "pid": 1,
        "library": "0",
        **changed,
    }


def configured(**settings: Any) -> Event:
    """The settings of the breaker ``b``."""
    return {"event": "breaker_configured", "at": 0, "breaker": "b", "config": settings}


def succeeded(**changed: Any) -> Event:
    """A success of the breaker ``b``."""
    return {"event": "call_succeeded", "at": 1, "breaker": "b", "epoch": 0, "took": 1, **changed}


def failed(**changed: Any) -> Event:
    """A failure of the breaker ``b``."""
    return {**succeeded(**changed), "event": "call_failed"}


def observed(**changed: Any) -> Event:
    """An imported call of the breaker ``b``."""
    call = {"event": "call_observed", "at": 1, "breaker": "b", "start": 0, "took": 1}
    return {**call, "outcome": "succeeded", **changed}


def rejected(**changed: Any) -> Event:
    """A rejected call of the breaker ``b``."""
    return {"event": "call_rejected", "at": 1, "breaker": "b", "reason": "forced_open", **changed}


def forced(**changed: Any) -> Event:
    """A command that forces the breaker ``b`` open."""
    return {"event": "forced_open", "at": 1, "breaker": "b", **changed}


def checkpoint(state: Mapping[str, Any], *, config: Mapping[str, Any], **more: Any) -> Event:
    """A checkpoint of the closed breaker ``b``, with the values in ``state`` replaced."""
    nothing = dict.fromkeys(("opened_at", "half_open_at", "deadline", "why_open", "window"))
    counters = dict.fromkeys(
        ("epoch", "openings", "openings_in_a_row", "consecutive_failures", "probes_admitted"), 0
    )
    totals = dict.fromkeys(("succeeded", "failed", "ignored", "rejected", "stale"), 0)
    whole = {
        "breaker": "b",
        "mode": "enforce",
        "state": "CLOSED",
        "forced": False,
        **nothing,
        **counters,
        **totals,
        "failure_seqs": [],
        "probes": {},
        "probe_seqs": [],
        "probe_window": None,
        "config": config,
        "window": [],
        **state,
    }
    return {"event": "checkpoint", "at": 0, "breaker": "b", "state": whole, **more}


def _many(count: int, make: Callable[[int], Event]) -> list[Event]:
    return [make(number) for number in range(count)]


_LARGE: Final = {"window": {"size": 2**31 - 1, "failure_rate": 0.5}}

REFUSED: Final[Mapping[str, list[Event]]] = {
    "a count of 0": [opened(), configured(), succeeded(count=0)],
    "a negative count": [opened(), configured(), succeeded(count=-1)],
    "a count of 2^31": [opened(), configured(), succeeded(count=2**31)],
    "a count of 2^63 - 1": [opened(), configured(**_LARGE), succeeded(count=MOST)],
    "a count of 10^30": [opened(), configured(), succeeded(count=BEYOND)],
    "refusals of a count of 0": [opened(), configured(), forced(), rejected(count=0)],
    "refusals of a count of 2^40": [opened(), configured(), forced(), rejected(count=2**40)],
    "a time of 2^63 - 1": [opened(), configured(), succeeded(at=MOST)],
    "a time of 10^30": [opened(), configured(), succeeded(at=BEYOND)],
    "a first time of 2^63 - 1": [opened(at=MOST)],
    "a call that took 10^30": [opened(), configured(), succeeded(took=BEYOND)],
    "a checkpoint of 10^30 failures": [
        opened(checkpoints=1),
        checkpoint({"failed": BEYOND}, config={}),
    ],
    "a window that counts 10^30": [
        opened(checkpoints=1),
        checkpoint({"window": [[4, BEYOND]]}, config={"window": _WINDOW}),
    ],
    "a part beyond all parts": [
        opened(checkpoints=1),
        checkpoint({}, config={}, part=BEYOND, parts=BEYOND),
    ],
    "a window of 10^30": [opened(), configured(window={"size": BEYOND, "failure_rate": 0.5})],
    "a wait of 10^300 s": [opened(), configured(recovery_timeout_seconds=1e300)],
    "an imported call of 10^30": [opened(), observed(at=BEYOND, took=BEYOND)],
    "a wall clock of the year 99999": [opened(wall="99999-01-01T00:00:00Z")],
}
"""Logs that every reader refuses: each command ends with status 2 or 3, and gives the reason."""

ACCEPTED: Final[Mapping[str, list[Event]]] = {
    "a part of negative numbers": [
        opened(checkpoints=1),
        {
            "event": "checkpoint",
            "at": 0,
            "breaker": "b",
            "part": 1,
            "parts": 2,
            "state": {"window": [-5, -(10**18)]},
        },
        checkpoint({}, config={"window": _WINDOW}, part=2, parts=2),
    ],
    "a part of something else": [
        opened(checkpoints=1),
        {
            "event": "checkpoint",
            "at": 0,
            "breaker": "b",
            "state": {"mode": 1},
            "part": 1,
            "parts": 2,
        },
    ],
    "the last of 2^31 parts alone": [
        opened(checkpoints=1),
        checkpoint({}, config={}, part=2**31 - 1, parts=2**31 - 1),
    ],
    "a window that holds more than its size": [
        opened(checkpoints=1),
        checkpoint({"window": [[4, 2**31 - 1]] * 9}, config={"window": _WINDOW}),
    ],
    "a checkpoint that counts 2^63 - 1": [
        opened(checkpoints=1),
        checkpoint({"succeeded": MOST}, config={}),
        succeeded(),
    ],
    "an epoch that has not begun": [opened(), configured(), succeeded(epoch=MOST)],
    "a window of -1": [opened(), configured(window={"size": -1, "failure_rate": 0.5})],
    "a window of 2^31": [opened(), configured(window={"size": 2**31, "failure_rate": 0.5})],
    "a time window of 2^31": [opened(), configured(window={"seconds": 2**31, "failures": 1})],
    "a rate of ten digits": [
        opened(),
        configured(window={"size": 9, "failure_rate": 0.1234567891}),
    ],
    "a rate of a million digits": [
        opened(),
        configured(window={"size": 9, "failure_rate": "1/" + "9" * 900_000}),
    ],
    "2^31 - 1 calls in one event": [opened(), configured(), succeeded(count=2**31 - 1)],
    "2^31 - 1 calls in a window of as many": [
        opened(),
        configured(**_LARGE),
        succeeded(count=2**31 - 1),
        failed(),
    ],
    "10^9 calls in a window of 10^9": [
        opened(),
        configured(window={"size": 10**9, "failure_rate": 0.5}),
        *_many(5, lambda number: succeeded(count=10**9, at=number + 1)),
        failed(at=9),
    ],
    "10^9 calls in a time window": [
        opened(),
        configured(window={"seconds": 10**9, "failure_rate": 0.5}),
        *_many(5, lambda number: succeeded(count=10**9, at=number + 1)),
        failed(at=9),
    ],
    "a window of 2^31 - 1": [
        opened(),
        configured(window={"size": 2**31 - 1, "failure_rate": 0.5}),
        *_many(20, lambda _: failed()),
    ],
    "a time window of 2^31 - 1": [
        opened(),
        configured(window={"seconds": 2**31 - 1, "failure_rate": 0.5}),
        *_many(20, lambda number: failed(at=number * 10**9)),
    ],
    "two centuries between calls": [
        opened(),
        configured(),
        failed(),
        succeeded(at=2**62),
        *_many(6, lambda number: failed(at=2**62 + number)),
    ],
    "refusals of 2^31 - 1": [opened(), configured(), forced(), rejected(count=2**31 - 1)],
    "a call that took 2^63 - 1": [opened(), configured(), failed(took=MOST), succeeded(took=MOST)],
    "more checkpoints than there are": [opened(checkpoints=MOST), configured(), succeeded()],
    "a session of 2^63 - 1": [opened(session=MOST), configured(), succeeded()],
    "a checkpoint of a large window": [
        opened(checkpoints=1),
        checkpoint({"window": [[4, 2**31 - 1]]}, config=_LARGE),
        failed(),
    ],
    "two imported calls two centuries apart": [
        opened(),
        observed(),
        observed(at=2**62, start=2**62 - 5, took=5, outcome="failed"),
    ],
    "an imported call of two centuries": [opened(), observed(at=2**62, took=2**62)],
}
"""Logs of valid lines with extreme values: each command ends in little time and memory."""


def write(path: Path, events: list[Event]) -> Path:
    """Write events as a segment that one valid seal closes."""
    chain = SealChain(GENESIS)
    lines = []
    at = 0
    for seq, event in enumerate(events, start=1):
        name, *rest = event.items()
        line = json.dumps(dict([name, ("seq", seq), *rest]), separators=(",", ":")).encode() + b"\n"
        chain.add(line)
        lines.append(line)
        at = event["at"]
    lines.append(chain.seal(len(events) + 1, at)[1])
    path.write_bytes(b"".join(lines))
    return path
