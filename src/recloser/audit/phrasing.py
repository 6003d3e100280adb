"""Phrase the facts of a cause, for text, Markdown and the report alike.

An engineer reads these at night during an incident, so each is short and complete by itself.
"""

import shlex
from collections.abc import Sequence
from typing import Final

from recloser.audit.cause import (
    Answer,
    BackoffStep,
    Cause,
    ClockHealth,
    Cost,
    EvidenceGroup,
    MinimalCause,
    OperatorAct,
    Prevention,
)
from recloser.core.events import FiredRule, Rule
from recloser.core.formatting import duration, quantity

Fact = tuple[str, str]

_SHOWN: Final = 6


def facts(cause: Cause) -> list[Fact]:
    """List the facts of a cause as pairs of a name and a phrase; names can repeat."""
    listed = [("rule", rule(cause.rule)), ("trip", _trip(cause))]
    if cause.mode != "enforce":
        listed.append(("mode", f"{cause.mode}: no call was rejected"))
    listed += [("evidence", _group(group, cause.rule)) for group in cause.groups]
    if cause.minimal_cause is not None:
        listed.append(("minimal cause", _minimal(cause.minimal_cause, cause.rule)))
    listed += [("nearest setting", _prevention(prevention)) for prevention in cause.preventions]
    listed += [("cost", _cost(cause.cost)), ("closed", _closed(cause.cost))]
    if cause.backoff is not None:
        listed.append(("backoff", _backoff(cause.backoff)))
    listed.append(("earlier", _earlier(cause)))
    listed.append(("clock", _clock(cause.clock)))
    listed += [("operator", _act(act)) for act in cause.operator]
    return listed


def rule(fired: FiredRule) -> str:
    """Describe a rule that fired by its name, its figures and its threshold."""
    if fired.rate is not None:
        return (
            f"{fired.rule.value}, {fired.observed} of {fired.calls} calls, threshold {fired.rate}"
        )
    if fired.threshold:
        return f"{fired.rule.value}, {fired.observed} of {fired.threshold}"
    return fired.rule.value


def repeat_command(answer: Answer, cause: Cause, settings: Sequence[str]) -> str:
    """The command line that explains the same trip again.

    Args:
        answer: The answer that holds the cause.
        cause: The cause to explain again.
        settings: The options that gave settings, for imported traffic.
    """
    which = ["--at", f"seq:{cause.seq}"] if cause.trip is None else ["--trip", str(cause.trip)]
    return shlex.join(
        ["recloser", "why", answer.log, "--breaker", cause.breaker, *which, *settings]
    )


def unread_note(answer: Answer) -> str | None:
    """A note on the part of the log that was not read; None if all of it was read."""
    if answer.read.is_from_beginning:
        return None
    return (
        f"read only from seq {answer.read.first_seq} on "
        f"({quantity(answer.read.events, 'event')}); use --whole to read the log from its beginning"
    )


def _trip(cause: Cause) -> str:
    number = "" if cause.trip is None else f"{cause.trip} of {cause.trips}, "
    return f"{number}state_changed at seq {cause.seq}, which ended epoch {cause.epoch}"


def _group(group: EvidenceGroup, fired: FiredRule) -> str:
    no_error = "slow, no error" if fired.rule is Rule.SLOW_CALL_RATE else "no error recorded"
    error = group.error or no_error
    on = f" on {group.route}" if group.route else ""
    took = duration(group.shortest_ns)
    if group.longest_ns > group.shortest_ns:
        took += f" to {duration(group.longest_ns)}"
    return f"{error}{on}, {quantity(group.count, 'time')}, {took}"


def _minimal(cause: MinimalCause, fired: FiredRule) -> str:
    how = "been fast enough" if fired.rule is Rule.SLOW_CALL_RATE else "succeeded"
    if cause.any_of:
        which = f"any {cause.count} of these {quantity(len(cause.any_of), 'call')}"
        return f"it would have stayed closed if {which} had {how}"
    seqs = ", ".join(map(str, cause.seqs[:_SHOWN])) + ", …" * (len(cause.seqs) > _SHOWN)
    which = "this call" if cause.count == 1 else f"these {cause.count:,} calls"
    return f"it would have stayed closed if {which} had {how}: seq {seqs}"


def _prevention(prevention: Prevention) -> str:
    return " and ".join(f"{c.setting} = {c.value} (it was {c.was})" for c in prevention.changes)


def _cost(cost: Cost) -> str:
    parts = [f"{quantity(cost.rejected, 'call')} rejected", quantity(cost.probes, "probe")]
    if cost.relapses:
        parts.append(quantity(cost.relapses, "relapse"))
    if cost.late_failures:
        parts.append(quantity(cost.late_failures, "stale failure"))
    if cost.late_successes:
        parts.append(quantity(cost.late_successes, "stale success", "stale successes"))
    return ", ".join(parts)


def _closed(cost: Cost) -> str:
    if cost.closed_by is None:
        return f"still open when the log ends, {duration(cost.not_closed_ns)} later"
    return f"{duration(cost.not_closed_ns)} later, at {cost.closed_utc}, by {cost.closed_by.value}"


def _backoff(step: BackoffStep) -> str:
    cooldowns = ", then ".join(duration(ns) for ns in step.cooldowns_ns[:_SHOWN])
    more = len(step.cooldowns_ns) - _SHOWN
    and_more = f" and {more:,} more" if more > 0 else ""
    return (
        f"opening {step.in_a_row:,} since it was last closed, {step.opening:,} in all; "
        f"cooldown {cooldowns}{and_more}"
    )


def _earlier(cause: Cause) -> str:
    text = "none"
    if cause.earlier:
        last = cause.earlier[-1]
        text = (
            f"{quantity(cause.earlier_count, 'trip')}, the last {duration(last.before_ns)} before, "
            f"at {last.utc} by {last.rule.value}"
        )
    if cause.unread_openings:
        text += f"; {quantity(cause.unread_openings, 'opening')} in the part that was not read"
    return text


def _clock(clock: ClockHealth) -> str:
    text = f"{quantity(clock.readings, 'reading')}, skew up to {duration(clock.largest_skew_ns)}, "
    text += quantity(len(clock.steps), "step")
    for step in clock.steps[:_SHOWN]:
        sign = "-" if step.by_ns < 0 else "+"
        text += f", {sign}{duration(abs(step.by_ns))} at seq {step.seq}"
    if clock.restarts:
        text += f", {quantity(clock.restarts, 'restart')}"
    return f"{text}. {clock.verdict}"


def _act(act: OperatorAct) -> str:
    text = f"{act.command}{f' to {act.detail}' if act.detail else ''} at {act.utc} (seq {act.seq})"
    by = f" by {act.actor}" if act.actor else ""
    reason = f": {act.reason}" if act.reason else ""
    return f"{text}{by}{reason}"
