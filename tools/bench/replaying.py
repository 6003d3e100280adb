"""How fast a log of JSON lines is replayed.

It is compared with decoding the same bytes with ``msgspec``, which every replay needs, and with a
breaker that lets ``transitions`` handle every outcome.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Union, get_args

import msgspec
import support_path  # noqa: F401  # the next import needs it
from long_log import write
from transitions import Machine

from bench.appending import EVENTS
from bench.effort import Effort
from bench.results import Group
from bench.timing import Work, interleaved_rates, timed
from recloser import replay
from recloser.core.events import Event
from recloser.log.codec import lean
from recloser.log.reader import segments_of

DECODE: Final = "msgspec, decode alone"
REPLAY: Final = "recloser, replay"
TRANSITIONS: Final = "transitions, a trigger an outcome"

_BREAKERS: Final = 20
_THRESHOLD: Final = 5
_EVENT_TYPES: Final = tuple(lean(event_type) for event_type in get_args(Event))
_decode: Final = msgspec.json.Decoder(Union[_EVENT_TYPES]).decode  # noqa: UP007  # a run-time union


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure the events per second for a log of twenty breakers that trip now and then."""
    log = folder / "replayed"
    trips_every = max(1, effort.events // 5)
    write(log, effort.events, _BREAKERS, trips_every=trips_every, flush_every=1000)
    segments = segments_of(log)
    history = replay(log)
    works = [
        Work(DECODE, history.count, partial(timed, lambda: _decoded(segments))),
        Work(REPLAY, history.count, partial(timed, lambda: replay(log))),
        Work(TRANSITIONS, history.count, partial(timed, lambda: _triggered(segments))),
    ]
    series = interleaved_rates(works, effort)
    yield Group("replay", "Replay of JSON lines", EVENTS, DECODE, series)


def _decoded(segments: Sequence[Path]) -> None:
    for segment in segments:
        for line in segment.read_bytes().splitlines():
            _decode(line)


class _Breaker:
    """A model for ``transitions`` with as little code as possible; every outcome is a trigger."""

    __slots__ = ("failures", "state")

    def __init__(self) -> None:
        self.state = "closed"
        self.failures = 0

    def count(self) -> None:
        """Count one more consecutive failure."""
        self.failures += 1

    def forget(self) -> None:
        """Forget the consecutive failures, after a success."""
        self.failures = 0

    def reaches_threshold(self) -> bool:
        """Whether this failure reaches the threshold."""
        return self.failures + 1 >= _THRESHOLD


_MACHINE: Final = Machine(
    model=None,
    states=["closed", "open", "half_open"],
    initial="closed",
    auto_transitions=False,
    transitions=[
        {
            "trigger": "call_failed",
            "source": "closed",
            "dest": "open",
            "conditions": "reaches_threshold",
            "after": "forget",
        },
        {"trigger": "call_failed", "source": "closed", "dest": None, "after": "count"},
        {"trigger": "call_succeeded", "source": "closed", "dest": None, "after": "forget"},
        {"trigger": "probe_admitted", "source": "open", "dest": "half_open"},
        {"trigger": "probe_admitted", "source": ["closed", "half_open"], "dest": None},
        {"trigger": "call_failed", "source": "half_open", "dest": "open"},
        {"trigger": "call_succeeded", "source": "half_open", "dest": "closed"},
        {"trigger": "call_failed", "source": "open", "dest": None},
        {"trigger": "call_succeeded", "source": "open", "dest": None},
    ],
)


def _triggered(segments: Sequence[Path]) -> None:
    breakers: dict[str, _Breaker] = {}
    for segment in segments:
        for line in segment.read_bytes().splitlines():
            event = _decode(line)
            if event.kind in _MACHINE.events:
                breaker = breakers.setdefault(event.breaker, _Breaker())
                _MACHINE.events[event.kind].trigger(breaker)
