"""How the two hands of the clock agreed around an incident, and whether that could have mattered."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from recloser.audit.cause import ClockHealth, Step
from recloser.audit.incident import Incident
from recloser.core.events import LogOpened
from recloser.core.moments import nanoseconds_between
from recloser.history.timeline import Timeline

_STEPPED_NS: Final = 100_000_000
_A_TENTH: Final = 10


def clock_health(incident: Incident, timeline: Timeline) -> ClockHealth:
    """The health of the clock from the evidence to the close of an incident."""
    steps: list[Step] = []
    largest = restarts = reboots = 0
    session: LogOpened | None = None
    for earlier, later in pairwise((None, *incident.readings)):
        if later is None:
            continue
        is_new_origin = False
        if later.kind == "log_opened":
            if session is not None and later.session != session.session:
                restarts += 1
                is_new_origin = later.boot_id != session.boot_id
                reboots += is_new_origin
            session = later
        if earlier is None or is_new_origin:
            continue
        span = later.at - earlier.at
        skew = nanoseconds_between(earlier.wall, later.wall) - span
        if abs(skew) > max(_STEPPED_NS, span // _A_TENTH):
            steps.append(Step(later.seq, timeline.text(later.at), skew))
        else:
            largest = max(largest, abs(skew))
    return ClockHealth(
        readings=len(incident.readings),
        largest_skew_ns=largest,
        steps=steps,
        restarts=restarts,
        reboots=reboots,
        verdict=_verdict(steps, reboots),
    )


def _verdict(steps: Sequence[Step], reboots: int) -> str:
    said = (
        "It can't have mattered: decisions read the monotonic hand only, and the wall clock dates "
        "what is shown."
    )
    if steps:
        said += " The steps moved the times printed here, and no edge."
    if reboots:
        said += (
            " Over a reboot the wall clock measured the pause, bounded by the cooldown that was "
            "left; it was recorded when the log was opened, and replay reads it there."
        )
    return said
