"""Runs every short sequence of steps on everything that decides about a breaker, and compares.

After each step, the model and the interpreted and compiled kernels must have equal states. After the
whole sequence, these must agree with the model too: ``kernel.run`` over its rows, ``kernel.simulate``
over its calls, and two live breakers with the replays and folds of their logs. One log has every
outcome; the other coalesces successes, and its calls that end at once are calls of functions.

The steps:

- ``success``, ``failure``, ``slow`` (a success that took too long) and ``ignored`` end the oldest call
  in flight. If there is none, they ask for a call which, if it is admitted, ends at once.
- ``ask`` asks for a call, which stays_in_flight in flight. If it is a probe that no later step ends, it is lost.
- ``tick`` advances to the next deadline, and an event without other effect makes breakers notice it.
  ``wait`` advances without that event, so that the next step notices the deadline. Without a deadline,
  both advance to the next whole second.
- ``short`` advances to one nanosecond before that time.
- ``command`` opens a breaker that is not open and resets an open one; or it changes settings or modes.

Asking for a call is not always a row: an admitted probe and a rejected call are rows, but a call that a
closed breaker admits is not. ``simulate`` gets only calls and their times, so it is left out for
sequences with ``tick`` or ``command``; the same sequence with ``wait`` in place of ``tick`` has the same
edges. In a simulation, calls that stay in flight end as ignored, long after all others.

The walk continues only one of the sequences of each length that lead to equal states, because their
continuations are equal. In this comparison, times are relative to the current time, and numbers of
events and epochs are compared by their order. Counters and earlier edges are left out, as no decision
depends on them. The positions of items in the kernel's ring buffers are included.
"""

import time
from array import array

from agreement import assert_same_answer
from attrs import define, evolve, field, frozen
from kernel_driver import RULES, Driven, Row, kernels
from kernel_scripts import NAME, Rare
from live_sequence import Live
from model import CLOSED, OPEN, SECOND, Model
from modelled import Modelled
from sequence_cases import CASES, ENDS, STEPS

from recloser.core import kernel

__all__ = ["CASES", "STEPS", "DisagreementError", "Walk", "walk"]

CODES = {"succeeded": kernel.SUCCEEDED, "failed": kernel.FAILED, "ignored": kernel.IGNORED}
ANSWERS = {
    "closed": kernel.ALLOWED,
    "probe": kernel.PROBE,
    "disabled": kernel.DISABLED,
    "cooldown_active": kernel.COOLING,
    "forced_open": kernel.FORCED,
    "probes_exhausted": kernel.EXHAUSTED,
}
DETAILS = ("full", "runs")
LONG = 1000 * SECOND


@frozen
class Asked:
    """A request for a call, with the answer expected from a kernel and its row, if it has one."""

    seq: int
    at: int
    answer: int
    row: object
    has_edge: bool


@define
class Call:
    """A call of a table; ``end_index`` is its index in the order of ends, None while in flight."""

    start: int
    ended_before: int
    end: int = 0
    took: int = 0
    outcome: int = kernel.IGNORED
    end_index: int | None = None


@define
class Sequence:
    """A sequence of steps, with the model and the kernels after its last step.

    Attributes:
        items: The rows and rare events that kernels get.
        marks: The time after each step, in nanoseconds.
        answers: The answers of the model to requests for calls.
        in_flight: The calls that have not ended, with their permits.
        done: How many items the kernels have had.
    """

    case: object
    modelled: object
    kernels: list
    steps: tuple = ()
    at: int = 0
    seq: int = 0
    items: tuple = ()
    marks: tuple = ()
    answers: tuple = ()
    in_flight: tuple = ()
    outcomes: tuple = ()
    calls: list = field(factory=list)
    ended: int = 0
    orders: tuple = ()
    done: int = 0

    model = property(lambda self: self.modelled.model)
    is_of_calls = property(lambda self: not {"tick", "command"} & set(self.steps))

    @classmethod
    def empty(cls, case):
        return cls(
            case,
            Modelled(case.config),
            [Driven(of, NAME, case.config) for of in kernels()],
        )

    def then(self, step):
        """The sequence with one more step, on which the model and each kernel agree."""
        longer = evolve(
            self,
            modelled=_copied_model(self.modelled),
            kernels=[_copied(driven) for driven in self.kernels],
            steps=(*self.steps, step),
            calls=[evolve(call) for call in self.calls],
        )
        longer.append(step)
        longer.marks += (longer.at,)
        longer.drive()
        return longer

    # -- the model --

    def append(self, step):
        if step in ENDS:
            self.end(*ENDS[step])
        elif step == "ask":
            self.ask(stays_in_flight=True)
        elif step == "command":
            self.command()
        else:
            self.at = max(self.at, self.next_moment() - (step == "short"))
            if step == "tick":
                self.rare("pass_time")

    def next_moment(self):
        deadlines = self.model.deadlines()
        return min(deadlines) if deadlines else (self.at // SECOND + 1) * SECOND

    def ask(self, *, stays_in_flight):
        self.seq += 1
        edges = len(self.model.edges)
        # Pass the time first, so that evidence of lost probes has the number of this event.
        self.modelled.pass_time(self)
        answer = self.model.ask(self.at)
        row = None
        if answer.reason == "probe":
            permit = answer.permit
            row = Row(kernel.ADMITTED, self.seq, self.at, 0, permit.epoch, permit.probe)
        elif not answer.allowed:
            row = Row(kernel.REJECTED, self.seq, self.at)
        has_edge = len(self.model.edges) > edges
        self.items += (Asked(self.seq, self.at, ANSWERS[answer.reason], row, has_edge),)
        self.answers += (answer,)
        self.calls.append(Call(self.at, self.ended))
        number = len(self.calls) - 1
        if not answer.allowed:
            if stays_in_flight:
                self.end_call(number, kernel.IGNORED, 0)
        else:
            self.in_flight += ((number, answer.permit),)
        return answer.allowed

    def end(self, outcome, took):
        if not self.in_flight and not self.ask(stays_in_flight=False):
            self.end_call(len(self.calls) - 1, CODES[outcome], took)
            return
        (number, permit), self.in_flight = self.in_flight[0], self.in_flight[1:]
        self.seq += 1
        self.outcomes += (self.seq,)
        row = Row(CODES[outcome], self.seq, self.at, took, permit.epoch, permit.probe)
        self.items += (row,)
        self.modelled.pass_time(row)
        self.model.report(permit, outcome, self.at, took, self.seq)
        self.end_call(number, row.kind, took)

    def end_call(self, number, outcome, took):
        call = self.calls[number]
        call.end, call.took, call.outcome, call.end_index = self.at, took, outcome, self.ended
        self.ended += 1

    def command(self):
        case, number = self.case, len(self.orders)
        if case.others:
            configs = (*case.others, case.config)
            order = "configure", configs[number % len(configs)]
        elif case.modes:
            order = "set_mode", case.modes[number % len(case.modes)]
        else:
            order = "command", "reset" if self.model.state == OPEN else "force_open"
        self.orders += (order,)
        self.rare(*order)

    def rare(self, method, *arguments):
        self.seq += 1
        item = Rare(method, arguments, self.seq, self.at)
        self.items += (item,)
        self.modelled.apply_rare(item)

    # -- kernels, step by step --

    def drive(self):
        expected = self.modelled.seen()
        for driven in self.kernels:
            for item in self.items[self.done :]:
                drive(driven, item)
            assert driven.seen() == expected, self.steps
        self.done = len(self.items)

    def key(self):
        """Return a key that is equal for sequences whose continuations are equal."""
        model, at = self.model, self.at
        seqs = sorted({call.seq for call in self.counted() if call.seq is not None})
        ranks = {seq: rank for rank, seq in enumerate(seqs)}

        def calls(listed, since):
            return tuple([(c.at // SECOND - since, c.failed, c.slow, ranks[c.seq]) for c in listed])

        is_timed = hasattr(model.config.window, "seconds")
        second = at // SECOND
        return (
            model.state,
            model.mode,
            len(self.orders) % max(len(self.case.others) + 1, len(self.case.modes)),
            model.since - at if model.state != CLOSED else None,
            model.forced,
            model.cooldown,
            model.openings_in_a_row,
            None if model.why_open is None else model.why_open.rule,
            tuple([ranks[call.seq] for call in model.failures_in_a_row]),
            calls(model.window, second) if is_timed else _codes(model.window, ranks),
            _codes(model.probe_window, ranks),
            tuple([ranks[call.seq] for call in model.probe_successes]),
            tuple([(number, began - at) for number, began in model.probes.items()]),
            model.probes_admitted,
            tuple([(p.epoch == model.epoch, p.probe) for _, p in self.in_flight]),
            at % SECOND,  # where the next whole second is, to which ticks go
            _layout(self.kernels[0].inner),
            self.is_of_calls,
        )

    def counted(self):
        model = self.model
        lists = model.failures_in_a_row, model.window, model.probe_window, model.probe_successes
        return [call for calls in lists for call in calls]

    # -- the sequence as a whole --

    def check(self):
        """Compare the checks of a whole sequence with the model: rows, live breakers and calls."""
        self.check_many_at_once()
        self.check_live()
        if self.is_of_calls:
            self.check_calls()

    def check_many_at_once(self):
        expected = self.modelled.seen()
        for of in kernels():
            driven, rows = Driven(of, NAME, self.case.config), []
            for item in self.items:
                row = getattr(item, "row", item)
                if isinstance(row, Row):
                    rows.append(row)
                elif isinstance(item, Rare) or item.has_edge:
                    assert driven.run(rows) == 0
                    rows = []
                    drive(driven, item)
            assert driven.run(rows) == 0
            assert driven.seen() == expected, ("run", self.steps)

    def check_live(self):
        for detail in DETAILS:
            live = Live(self.case, self.orders, detail)
            for step, at in zip(self.steps, self.marks, strict=True):
                live.perform(step, at)
            for decision, answer in zip(live.decisions, self.answers, strict=True):
                if decision is None:
                    assert answer.allowed
                else:
                    assert_same_answer(decision, answer)
            live.check(self.model, self.at, self.outcomes)

    def check_calls(self):
        """Compare ``simulate`` with the model, after all calls in flight have ended as ignored."""
        sequence = evolve(
            self,
            modelled=_copied_model(self.modelled),
            calls=[evolve(call) for call in self.calls],
            at=self.at + LONG,
        )
        while sequence.in_flight:
            sequence.end("ignored", 0)
        model, calls = sequence.model, sequence.calls
        expected = (
            [(edge.at, edge.trigger) for edge in model.edges],
            [model.totals[name] for name in CODES],
            [n for n, answer in enumerate(self.answers) if not answer.allowed],
            sequence.modelled.answer(),
        )
        for of in kernels():
            assert simulated(of, self.case.config, calls) == expected, ("simulate", self.steps)


def drive(driven, item):
    """Apply one item to a kernel, and compare its answer with the model's."""
    if isinstance(item, Rare):
        getattr(driven, item.method)(*item.arguments, item.seq, item.at)
        return
    if isinstance(item, Asked):
        driven.pass_time(item.seq, item.at)
        assert driven.of.decide(driven.inner) == item.answer, (item, driven.seen())
        item = item.row
    if item is not None:
        assert driven.apply(item) == 0, item


def _copied(driven):
    copy = Driven(driven.of, driven.name, driven.config)
    copy.inner = driven.of.State(driven.inner.rules)
    driven.of.assume(copy.inner, driven.inner)
    copy.openings, copy.openings_in_a_row = driven.openings, driven.openings_in_a_row
    copy.edges = list(driven.edges)
    return copy


def _copied_model(modelled):
    model = modelled.model
    copy = Modelled(model.config)
    copy.model = other = Model(model.name, model.config)
    for name in _FIELDS:
        value = getattr(model, name)
        setattr(other, name, value.copy() if isinstance(value, list | dict) else value)
    return copy


_FIELDS = [each.name for each in Model.__attrs_attrs__ if each.name != "name"]


def _codes(calls, ranks):
    return tuple([(call.failed, call.slow, ranks[call.seq]) for call in calls])


def _layout(state):
    """Return the positions of the items in the kernel's ring buffers."""
    rings = state.failure_seqs, state.window, state.probes, state.probe_seqs, state.probe_window
    return tuple([r and (r.first, r.length, r.removed, r.capacity) for r in rings])


# A simulation.


def simulated(of, config, calls):
    """Simulate calls; return edges, counters, rejected calls and the answer to another call."""
    driven = Driven(of, NAME, config)
    progress = of.Progress(table(of, calls))
    while rule := of.simulate(driven.inner, progress):
        while rule:
            rule = driven.edge(driven.trigger(RULES[rule]), progress.at, ())
    state = driven.inner
    ranges = progress.rejected.to_list()
    return (
        [(at, trigger.value) for at, trigger, _ in driven.edges],
        [state.succeeded, state.failed, state.ignored],
        [
            n
            for first, end in zip(ranges[::2], ranges[1::2], strict=True)
            for n in range(first, end)
        ],
        of.decide(state),
    )


def table(of, calls):
    """Convert calls, in the order of their starts, to the columns of a kernel."""
    by_end = sorted(range(len(calls)), key=lambda number: calls[number].end_index)
    ended = [calls[number] for number in by_end]
    return of.CallColumns(
        array("q", [call.start for call in calls]),
        array("q", [call.ended_before for call in calls]),
        array("q", by_end),
        array("q", [call.end for call in ended]),
        array("q", [call.took for call in ended]),
        bytes([call.outcome for call in ended]),
    )


# The walk.


class DisagreementError(AssertionError):
    """Two results of one sequence differ; the message begins with its steps."""


@frozen
class Walk:
    """Extent of a walk: sequences, distinct states summed over all depths, and seconds."""

    sequences: int
    distinct: int
    seconds: float


def walk(name, depth):
    """Check every sequence of 1 to ``depth`` steps of a case.

    Raises:
        DisagreementError: Two results of one sequence differ.
    """
    began = time.perf_counter()
    level = {None: [Sequence.empty(CASES[name]), 1]}
    sequences = distinct = 0
    for _ in range(depth):
        longer = {}
        for sequence, times in level.values():
            for step in STEPS:
                key = extend(sequence, step, longer)
                longer[key][1] += times
        level = longer
        distinct += len(level)
        sequences += sum(times for _, times in level.values())
    return Walk(sequences, distinct, time.perf_counter() - began)


def extend(sequence, step, others):
    """Check a sequence with one more step, and add it to ``others`` if its state is new there."""
    try:
        child = sequence.then(step)
        key = child.key()
        if key not in others:
            others[key] = [child, 0]
            child.check()
    except Exception as error:
        steps = ", ".join([*sequence.steps, step])
        raise DisagreementError(f"{steps}: {type(error).__name__}: {error}") from error
    return key
