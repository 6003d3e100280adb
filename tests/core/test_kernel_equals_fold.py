"""The kernel against the fold: after every event both have decided and kept the same."""

from datetime import UTC, datetime

from attrs import define, field
from hypothesis import given

from kernel_driver import contents
from kernel_scripts import NAME, Script, check_many_at_once, check_one_by_one, configs, scripts_of
from recloser.core import kernel
from recloser.errors import FoldError
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    ForcedClosed,
    ForcedOpen,
    LogOpened,
    ModeChanged,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.fold import apply, refusal_of
from recloser.limits import MAX_COUNT
from recloser.machine import CLOSED, HALF_OPEN
from recloser.state import first_state

WALL = datetime(2026, 1, 1, tzinfo=UTC)
COMMAND_EVENTS = {"force_open": ForcedOpen, "force_closed": ForcedClosed, "reset": Reset}
REFUSALS = {
    Reason.FORCED_OPEN: kernel.FORCED,
    Reason.COOLDOWN_ACTIVE: kernel.COOLING,
    Reason.PROBES_EXHAUSTED: kernel.EXHAUSTED,
}


@define
class Folded(Script):
    """A script told to the fold."""

    state: object = field(init=False)

    def __attrs_post_init__(self):
        self.state = first_state(NAME, self.config)

    is_closed = property(lambda self: self.state.state is CLOSED)
    is_half_open = property(lambda self: self.state.state is HALF_OPEN)
    is_disabled = property(lambda self: self.state.mode == "disabled")
    epoch = property(lambda self: self.state.epoch)
    deadline = property(lambda self: self.state.deadline)
    probes = property(lambda self: list(self.state.probes))
    probes_admitted = property(lambda self: self.state.probes_admitted)

    def apply(self, event):
        edges = apply(self.state, event)
        self.edges += [(edge.at, edge.trigger, cause_of(edge)) for edge in edges]

    def apply_row(self, row):
        if row.epoch > self.epoch or row.kind == kernel.ADMITTED:
            # The fold may refuse it, and then loses the edges that are due.
            self.apply(ClockTicked(row.seq, row.at, WALL, 0))
        try:
            self.apply(event_of(row))
        except FoldError:
            return False
        return True

    def apply_rare(self, item):
        place = item.seq, item.at
        who = "ann", "to see"
        if item.method == "pass_time":
            self.apply(ClockTicked(*place, WALL, 0))
        elif item.method == "command":
            self.apply(COMMAND_EVENTS[item.arguments[0]](*place, NAME, *who))
        elif item.method == "configure":
            self.apply(BreakerConfigured(*place, NAME, item.arguments[0].to_mapping()))
        elif item.method == "set_mode":
            self.apply(ModeChanged(*place, NAME, item.arguments[0], *who))
        else:
            self.apply(LogOpened(*place, 2, 1, 1, WALL, 0, "h", "l", 9, "1.0"))

    def seen(self):
        state = self.state
        return {
            "state": state.state,
            "epoch": state.epoch,
            "forced": state.forced,
            "opened_at": state.opened_at,
            "half_open_at": state.half_open_at,
            "deadline": state.deadline,
            "openings": (state.openings, state.openings_in_a_row),
            "consecutive_failures": state.consecutive_failures,
            "failure_seqs": list(state.failure_seqs),
            "window": state.window and contents(state.window),
            "probes_admitted": state.probes_admitted,
            "probes": [number for pair in state.probes.items() for number in pair],
            "probe_seqs": list(state.probe_seqs),
            "probe_window": state.probe_window and contents(state.probe_window),
            "counters": [
                state.succeeded,
                state.failed,
                state.ignored,
                state.rejected,
                state.stale,
            ],
            "answer": answer(state),
            "edges": list(self.edges),
        }


def event_of(row):
    place = row.seq, row.at, NAME
    if row.kind == kernel.SUCCEEDED:
        return CallSucceeded(*place, row.epoch, row.took, row.probe, row.count)
    if row.kind == kernel.FAILED:
        return CallFailed(*place, row.epoch, row.took, row.probe, "OSError")
    if row.kind == kernel.IGNORED:
        return CallIgnored(*place, row.epoch, row.took, row.probe)
    if row.kind == kernel.REJECTED:
        return CallRejected(*place, Reason.COOLDOWN_ACTIVE, None, row.count)
    return ProbeAdmitted(*place, row.epoch, row.probe)


def answer(state):
    reason = refusal_of(state)
    if reason is not None:
        return REFUSALS[reason]
    if state.mode == "disabled":
        return kernel.DISABLED
    return kernel.PROBE if state.half_open_at is not None else kernel.ALLOWED


def cause_of(edge):
    """The rule and its evidence, in the form of ``Driven.cause``."""
    told = edge.cause
    rule = told.rule.value
    if rule in {"consecutive_failures", "probe_successes"}:
        return rule, told.observed, told.seqs or told.span
    if rule in {"cooldown", "probe_timeout", "half_open_timeout", "probe_failed"}:
        return rule, told.observed
    if rule == "command":
        return (rule,)
    return rule, told.observed, told.calls, *told.span


scripts = scripts_of([1, 1, 1, 1, 2, 7, 101, MAX_COUNT])


@given(configs, scripts)
def test_the_kernel_decides_as_the_fold_after_every_event(config, script):
    check_one_by_one(Folded, config, script)


@given(configs, scripts)
def test_many_rows_at_once_are_the_same_as_one_after_the_other(config, script):
    check_many_at_once(Folded, config, script)
