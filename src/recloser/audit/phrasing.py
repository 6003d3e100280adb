"""What is said of a cause, in words that text, Markdown and the report share."""

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

_SOME: Final = 6


def facts(cause: Cause) -> list[Fact]:
    """Each thing that is told of a cause, with its name."""
    told = [("rule", rule(cause.rule)), ("trip", _trip(cause))]
    if cause.mode != "enforce":
        told.append(("mode", f"{cause.mode}: no call was blocked"))
    told += [("evidence", _group(group, cause.rule)) for group in cause.groups]
    if cause.minimal_cause is not None:
        told.append(("minimal cause", _minimal(cause.minimal_cause, cause.rule)))
    told += [("nearest setting", _prevention(prevention)) for prevention in cause.preventions]
    told += [("cost", _cost(cause.cost)), ("closed", _closed(cause.cost))]
    if cause.backoff is not None:
        told.append(("backoff", _backoff(cause.backoff)))
    told.append(("earlier", _earlier(cause)))
    told.append(("clock", _clock(cause.clock)))
    told += [("operator", _act(act)) for act in cause.operator]
    return told


def rule(fired: FiredRule) -> str:
    """A rule and its figures against its threshold."""
    if fired.rate is not None:
        return f"{fired.rule.value}, {fired.observed} of {fired.calls} against {fired.rate}"
    if fired.threshold:
        return f"{fired.rule.value}, {fired.observed} of {fired.threshold}"
    return fired.rule.value


def again(answer: Answer, cause: Cause, settings: Sequence[str]) -> str:
    """The command that tells a cause again."""
    which = ["--at", f"seq:{cause.seq}"] if cause.trip is None else ["--trip", str(cause.trip)]
    return shlex.join(
        ["recloser", "why", answer.log, "--breaker", cause.breaker, *which, *settings]
    )


def read_in_part(answer: Answer) -> str | None:
    """What of the log was not read, where some of it was not."""
    if answer.read.is_from_beginning:
        return None
    return (
        f"read from the checkpoints at seq {answer.read.first_seq} on "
        f"({quantity(answer.read.events, 'event')}); --whole reads what is before them too"
    )


def _trip(cause: Cause) -> str:
    number = "not counted, " if cause.trip is None else f"{cause.trip} of {cause.trips}, "
    return f"{number}state_changed at seq {cause.seq}, which ended epoch {cause.epoch}"


def _group(group: EvidenceGroup, fired: FiredRule) -> str:
    nothing = "slow, no error" if fired.rule is Rule.SLOW_CALL_RATE else "no error recorded"
    of = group.error or nothing
    on = f" on {group.route}" if group.route else ""
    took = duration(group.shortest_ns)
    if group.longest_ns > group.shortest_ns:
        took += f" to {duration(group.longest_ns)}"
    return f"{of}{on}, {quantity(group.count, 'time')}, {took}"


def _minimal(cause: MinimalCause, fired: FiredRule) -> str:
    way = "been quick enough" if fired.rule is Rule.SLOW_CALL_RATE else "succeeded"
    them = "it" if cause.count == 1 else "they"
    then = f"had {them} {way}, would have kept it closed"
    if cause.any_of:
        return f"any {cause.count} of these {len(cause.any_of)}, {then}"
    seqs = ", ".join(map(str, cause.seqs[:_SOME])) + ", …" * (len(cause.seqs) > _SOME)
    return f"{quantity(cause.count, 'outcome')} (seq {seqs}), {then}"


def _prevention(prevention: Prevention) -> str:
    changes = [f"{c.setting} = {c.value} (it was {c.was})" for c in prevention.changes]
    return " with ".join(changes)


def _cost(cost: Cost) -> str:
    told = f"{quantity(cost.rejected, 'call')} rejected, {quantity(cost.probes, 'probe')}"
    if cost.relapses:
        told += f", opened again {quantity(cost.relapses, 'time')}"
    late = [
        quantity(number, *words)
        for number, words in (
            (cost.late_failures, ("late failure",)),
            (cost.late_successes, ("late success", "late successes")),
        )
        if number
    ]
    return ", ".join([told, *late])


def _closed(cost: Cost) -> str:
    if cost.closed_by is None:
        return f"not closed again {duration(cost.not_closed_ns)} later, where the log ends"
    return f"{duration(cost.not_closed_ns)} later, at {cost.closed_utc}, by {cost.closed_by.value}"


def _backoff(step: BackoffStep) -> str:
    cooled = ", then ".join(duration(ns) for ns in step.cooldowns_ns[:_SOME])
    more = len(step.cooldowns_ns) - _SOME
    and_more = f" and {more:,} more" if more > 0 else ""
    return f"opening {step.in_a_row:,} in a row, {step.opening:,} in its life; cooled {cooled}{and_more}"


def _earlier(cause: Cause) -> str:
    told = "none"
    if cause.earlier:
        last = cause.earlier[-1]
        told = (
            f"{quantity(cause.earlier_count, 'trip')}, the last {duration(last.before_ns)} before, "
            f"at {last.utc} by {last.rule.value}"
        )
    if cause.unread_openings:
        told += f"; {quantity(cause.unread_openings, 'opening')} before what was read"
    return told


def _clock(clock: ClockHealth) -> str:
    told = f"{quantity(clock.readings, 'reading')}, skew up to {duration(clock.largest_skew_ns)}, "
    told += quantity(len(clock.steps), "step")
    for step in clock.steps[:_SOME]:
        sign = "-" if step.by_ns < 0 else "+"
        told += f", {sign}{duration(abs(step.by_ns))} at seq {step.seq}"
    if clock.restarts:
        told += f", {quantity(clock.restarts, 'restart')}"
    return f"{told}. {clock.verdict}"


def _act(act: OperatorAct) -> str:
    told = f"{act.command}{f' to {act.detail}' if act.detail else ''} at {act.utc} (seq {act.seq})"
    by = f" by {act.actor}" if act.actor else ""
    because = f": {act.reason}" if act.reason else ""
    return f"{told}{by}{because}"
