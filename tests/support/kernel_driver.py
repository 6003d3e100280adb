"""Drives a kernel as a fold does, by single rows or by many, and shows its whole state."""

import sys
from array import array
from functools import cache
from importlib import import_module

from attrs import define, field, frozen

import recloser.core
from recloser.core import kernel
from recloser.core.backoff import cooldown_ns
from recloser.core.events import Trigger
from recloser.core.limits import MAX_SEQS
from recloser.core.rules import rules_of
from recloser.core.state_machine import CLOSED, HALF_OPEN, OPEN, fire
from recloser.process.from_sources import KERNEL, spec_of

STATES = (CLOSED, OPEN, HALF_OPEN)
OUTCOMES = ("succeeded", "failed", "ignored")
TRIPS = ("", "consecutive_failures", "window_failures", "failure_rate", "slow_call_rate")
RULES = (
    *TRIPS,
    "cooldown",
    "probe_failed",
    "probe_timeout",
    "probe_successes",
    "probe_window",
    "half_open_timeout",
)
RECOVERS = ("probe_successes", "probe_window")
COMMANDS = {
    "force_open": Trigger.FORCE_OPEN,
    "force_closed": Trigger.FORCE_CLOSED,
    "reset": Trigger.RESET,
}


class _KernelSources:
    """Finds the sources of the kernel's modules."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return spec_of(name) if name in KERNEL else None


@cache
def interpreted():
    """Return the interpreted kernel; if the imported one is compiled, load a second one."""
    if not kernel.IS_COMPILED:
        return kernel
    names = [kernel.__name__, *(name for name in KERNEL if name.startswith(kernel.__name__))]
    compiled = {name: sys.modules.pop(name) for name in names}
    sys.meta_path.insert(0, _KernelSources)
    try:
        return import_module(kernel.__name__)
    finally:
        sys.meta_path.remove(_KernelSources)
        sys.modules.update(compiled)
        recloser.core.kernel = kernel


def kernels():
    """Return the interpreted kernel and, if there is one, the compiled kernel."""
    return [interpreted(), kernel] if kernel.IS_COMPILED else [interpreted()]


@frozen
class Row:
    """One event of a breaker; ``kind`` is a code of the kernel, times are in nanoseconds."""

    kind: int
    seq: int
    at: int
    took: int = 0
    epoch: int = 0
    probe: int = 0
    count: int = 1


def columns(rows):
    """Convert rows to the columns that ``kernel.Rows`` takes."""
    names = ("seq", "at", "took", "epoch", "probe", "count")
    kinds = bytes(row.kind for row in rows)
    return kinds, *(array("q", [getattr(row, name) for row in rows]) for name in names)


def copied_rules(of, rules):
    """Copy rules into the types of another kernel."""

    def thresholds(window):
        names = "size is_timed needed failures failure_num failure_den slow_num slow_den"
        return window and of.Thresholds(*(getattr(window, name) for name in names.split()))

    return of.Rules(
        rules.failure_threshold,
        thresholds(rules.window),
        rules.slow_ns,
        rules.success_threshold,
        rules.max_probes,
        thresholds(rules.probe_window),
        rules.half_open_timeout_ns,
        rules.probe_timeout_ns,
    )


def numbers(ring):
    return [] if ring is None else ring.to_list()


@define
class Driven:
    """A breaker on a kernel, whose state changes are those that the state machine declares."""

    of: object
    name: str
    config: object
    inner: object = field(init=False)
    openings: int = 0
    openings_in_a_row: int = 0
    edges: list = field(factory=list)

    def __attrs_post_init__(self):
        self.inner = self.of.State(copied_rules(self.of, rules_of(self.config)))
        self.inner.is_disabled = self.config.mode == "disabled"

    @property
    def state(self):
        return STATES[self.inner.where]

    @state.setter
    def state(self, state):
        self.inner.where = STATES.index(state)

    # -- events --

    def apply(self, row):
        """Apply one row; return the code with which the kernel refuses it, or 0."""
        self.pass_time(row.seq, row.at)
        rule = self.of.step(
            self.inner, row.kind, row.seq, row.at, row.took, row.epoch, row.probe, row.count
        )
        if rule > 0:
            self.fire_rules(rule, row.seq, row.at)
        return min(rule, 0)

    def run(self, rows):
        """Apply rows; return the code with which the kernel refused the last refused row, or 0."""
        given = self.of.Rows(*columns(rows))
        start, refused = 0, 0
        while (index := self.of.run(self.inner, given, start, len(rows))) < len(rows):
            row, rule = rows[index], self.inner.fired
            start = index if self.inner.is_timed else index + 1
            if rule < 0:
                refused = rule
                continue
            self.fire_rules(rule, row.seq, row.at)
        return refused

    def command(self, name, seq, at):
        self.pass_time(seq, at)
        self.edge(COMMANDS[name], at, ("command",))

    def configure(self, config, seq, at):
        self.pass_time(seq, at)
        self.config = config
        rules = copied_rules(self.of, rules_of(config))
        self.of.reconfigure(self.inner, rules, config.mode == "disabled")

    def set_mode(self, mode, seq, at):
        self.pass_time(seq, at)
        self.inner.is_disabled = mode == "disabled"
        if mode == "disabled":
            self.of.forget_probes(self.inner)

    def begin_session(self, seq, at):
        self.pass_time(seq, at)
        self.of.forget_probes(self.inner)

    # -- edges --

    def pass_time(self, seq, at):
        while rule := self.of.advance(self.inner, seq, at):
            self.fire_rules(rule, seq, at)

    def fire_rules(self, rule, seq, at):
        while rule:
            cause = self.cause(RULES[rule])
            rule = self.edge(self.trigger(RULES[rule]), at, cause)

    def trigger(self, rule):
        if self.state is CLOSED:
            return Trigger.TRIP
        if self.state is OPEN:
            return Trigger.COOL
        return Trigger.RECOVER if rule in RECOVERS else Trigger.RELAPSE

    def cause(self, rule):
        """Return the rule and the evidence that the kernel keeps for it."""
        state = self.inner
        if rule == "consecutive_failures":
            seqs = numbers(state.failure_seqs)
            return rule, state.consecutive_failures, evidence(seqs, self.config.failure_threshold)
        if rule == "probe_successes":
            seqs = numbers(state.probe_seqs)
            return rule, len(seqs), evidence(seqs, self.config.half_open_success_threshold)
        if rule in {"cooldown", "probe_timeout", "half_open_timeout"}:
            return rule, state.waited
        if rule == "probe_failed":
            return rule, 1
        window = state.window or state.probe_window
        if rule == "probe_window":
            return rule, window.calls, window.calls, *window.span()
        observed = window.slow if rule == "slow_call_rate" else window.failures
        return rule, observed, window.calls, *window.span()

    def edge(self, trigger, at, cause):
        fire(self, trigger)
        wait = -1
        if self.state is OPEN and trigger is not Trigger.FORCE_OPEN:
            self.openings += 1
            self.openings_in_a_row += 1
            wait = cooldown_ns(
                self.config.backoff,
                self.config.recovery_timeout_ns,
                self.name,
                opening=self.openings,
                in_a_row=self.openings_in_a_row,
            )
        elif self.state is CLOSED:
            self.openings_in_a_row = 0
        self.edges.append((at, trigger, cause))
        return self.of.enter(self.inner, at, wait)

    # -- the whole state --

    def seen(self):
        state = self.inner
        counters = ["succeeded", "failed", "ignored", "rejected", "stale"]
        return {
            "state": self.state,
            "epoch": state.epoch,
            "forced": bool(state.is_forced),
            "opened_at": none_if(state.opened_at, -1),
            "half_open_at": none_if(state.half_open_at, -1),
            "deadline": none_if(state.deadline, self.of.NEVER),
            "openings": (self.openings, self.openings_in_a_row),
            "consecutive_failures": state.consecutive_failures,
            "failure_seqs": numbers(state.failure_seqs),
            "window": state.window and contents(state.window),
            "probes_admitted": state.probes_admitted,
            "probes": numbers(state.probes),
            "probe_seqs": numbers(state.probe_seqs),
            "probe_window": state.probe_window and contents(state.probe_window),
            "counters": [getattr(state, name) for name in counters],
            "answer": self.of.decide(state),
            "edges": self.edges,
        }


def none_if(number, none):
    return None if number == none else number


def contents(window):
    """Return the entries and counters of a window of a kernel or of the fold."""
    data = [tuple(entry) if isinstance(entry, list) else entry for entry in window.to_data()]
    return data, window.calls, window.failures, window.slow


def evidence(seqs, threshold):
    return (seqs[0], seqs[-1]) if threshold > MAX_SEQS else tuple(seqs)
