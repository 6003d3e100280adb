"""How well the wall clock and the monotonic clock agreed around an open period."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from recloser.audit.cause import ClockHealth, Step
from recloser.audit.incident import Incident
from recloser.core.events import LogOpened
from recloser.core.moments import nanoseconds_between
from recloser.history.timeline import Timeline

# A difference between the clocks is a step of the wall clock if it is above both of these.
_STEP_NS: Final = 100_000_000
_STEP_SHARE_OF_SPAN: Final = 10  # a tenth of the time between the readings


def clock_health(incident: Incident, timeline: Timeline) -> ClockHealth:
    """Compare the clock readings around an open period."""
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
        if abs(skew) > max(_STEP_NS, span // _STEP_SHARE_OF_SPAN):
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
    verdict = (
        "No effect on the breaker: it decides by the monotonic clock only. The wall clock only dates "
        "what is shown."
    )
    if steps:
        verdict += " The steps changed the times shown here, but no decision."
    if reboots:
        verdict += (
            " A reboot restarts the monotonic clock, so the wall clock measured the time until the "
            "restart, at most the rest of the cooldown. The log recorded that time, and replay reads "
            "it there."
        )
    return verdict
