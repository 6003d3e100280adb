"""Every sequence of a few steps, told to everything that decides about a breaker.

After each step the model, the interpreted and the compiled kernel show the same. For the sequence as a
whole so do ``kernel.run`` over its rows, ``kernel.simulate`` over its calls, and two live breakers with
the replay and the fold of their logs: one with every outcome in its log, and one with runs, of which
calls that end at once are functions.

The steps, and what they mean to whom:

- ``success``, ``failure``, ``slow`` (a success that took too long) and ``ignored`` end the oldest call
  under way; without any a call is asked for and, if it is let through, ends at once.
- ``ask`` asks for a call, which stays under way: a probe that is lost, unless a later step ends it.
- ``tick`` goes to the next deadline and has that noticed, by an event that changes nothing; ``wait``
  goes there without, so that the next step notices it. Where nothing is due both go to the next whole second.
- ``short`` goes to one nanosecond before that.
- ``command`` opens a breaker that is not open and resets one that is; or it changes settings or modes.

Rows know no asking: a probe let through and a rejected call are rows, and a call that a closed breaker lets
through is none. Calls of a table know nothing but calls and time, so that ``simulate`` has no part in
sequences with ``tick`` or ``command``; the twin of the former with ``wait`` has the same edges.
There, calls that stay under way end as ignored, long after all else.

States that are equal in all that the model and the kernel keep are walked on from once for each depth,
as the sequences that lead there go on alike. Equal means equal but for names: times count from now, and
numbers of events and epochs by their order. Counters and edges taken before are no part of it, since
nothing decides by them. Where the kernel's rings have their items is a part of it.
"""

import time
from array import array

from agreement import assert_same_answer, assert_same_edges, assert_same_state
from attrs import define, evolve, field, frozen
from drawn_settings import SLOW_NS
from kernel_driver import RULES, Driven, Row, kernels
from kernel_scripts import NAME
from model import CLOSED, OPEN, SECOND, Model
from modelled import Modelled

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CountWindow,
    Exponential,
    ManualClock,
    MemoryLog,
    TimeWindow,
)
from recloser.core import kernel
from recloser.core.fold import apply
from recloser.core.state import BreakerState
from recloser.history.engine import replay

STEPS = ("success", "failure", "slow", "ignored", "ask", "tick", "wait", "short", "command")
ENDS = {
    "success": ("succeeded", 0),
    "failure": ("failed", 0),
    "slow": ("succeeded", SLOW_NS + 1),
    "ignored": ("ignored", 0),
}
KINDS = {"succeeded": kernel.SUCCEEDED, "failed": kernel.FAILED, "ignored": kernel.IGNORED}
METHODS = {"succeeded": "after_success", "failed": "after_failure", "ignored": "after_ignored"}
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


def succeed():
    return None


def fail():
    raise OSError


FUNCTIONS = {"success": succeed, "failure": fail}


def _config(**settings):
    return CircuitBreakerConfig(**{"slow_call_seconds": SLOW_NS / SECOND, **settings})


@frozen
class Case:
    """One configuration, and what ``command`` does in it: an operator's, or other settings or modes."""

    config: object
    others: tuple = ()
    modes: tuple = ()


def _window(**limits):
    return {"failure_threshold": None, "window": CountWindow(3, **limits)}


CASES = {
    "consecutive failures": Case(_config(failure_threshold=2, half_open_success_threshold=2)),
    "window by failures": Case(_config(**_window(failure_rate=None, failures=2))),
    "window by rate": Case(_config(**_window(failure_rate=0.6, minimum_calls=2))),
    "window by slow rate": Case(
        _config(**_window(failure_rate=None, slow_call_rate=0.5, minimum_calls=2))
    ),
    "time window": Case(
        _config(failure_threshold=None, window=TimeWindow(2, failure_rate=0.5, minimum_calls=2))
    ),
    "half-open window": Case(
        _config(
            failure_threshold=1,
            probe_timeout_seconds=2,
            half_open_window=CountWindow(3, failure_rate=0.6, minimum_calls=2, slow_call_rate=1),
        )
    ),
    "several probes": Case(
        _config(failure_threshold=1, half_open_max_probes=2, half_open_success_threshold=2)
    ),
    "time-outs": Case(
        _config(
            failure_threshold=1,
            half_open_timeout_seconds=3,
            probe_timeout_seconds=2,
            half_open_max_probes=2,
            half_open_success_threshold=2,
        )
    ),
    "zero": Case(
        _config(failure_threshold=2, recovery_timeout_seconds=0, half_open_success_threshold=0)
    ),
    "backoff": Case(
        _config(
            failure_threshold=1,
            recovery_timeout_seconds=1,
            backoff=Exponential(2, 4),
            half_open_success_threshold=1,
        )
    ),
    "other settings": Case(
        _config(failure_threshold=1, half_open_max_probes=2, half_open_success_threshold=2),
        others=(
            _config(
                failure_threshold=2,
                half_open_success_threshold=1,
                half_open_timeout_seconds=3,
                probe_timeout_seconds=2,
            ),
            _config(
                failure_threshold=1,
                half_open_window=CountWindow(2, failure_rate=1),
                recovery_timeout_seconds=1,
            ),
        ),
    ),
    "disabled": Case(
        _config(failure_threshold=1, half_open_timeout_seconds=3, half_open_max_probes=2),
        modes=("disabled", "enforce"),
    ),
    "lost probes": Case(
        _config(
            failure_threshold=1,
            half_open_timeout_seconds=2,
            probe_timeout_seconds=2,
            half_open_window=CountWindow(
                3, failure_rate=None, failures=2, slow_call_rate=1, minimum_calls=3
            ),
        )
    ),
}
"""The last three are there for what documents leave open: see "silent" in ``model``."""


@frozen
class Asked:
    """A call that was asked for, as a kernel is to answer it; ``row`` is what the log has of it."""

    seq: int
    at: int
    answer: int
    row: object
    is_edge_taken: bool


@define
class Call:
    """A call as a table has it; ``place`` is in the order of the ends, None while it is under way."""

    start: int
    ended_before: int
    end: int = 0
    took: int = 0
    outcome: int = kernel.IGNORED
    place: int | None = None


@define
class Sequence:
    """What the model has said of a sequence of steps, and kernels that were driven by it.

    ``items`` is what kernels are told of it, ``marks`` where the clock stood after each step.
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
    under_way: tuple = ()
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
        longer.take(step)
        longer.marks += (longer.at,)
        longer.drive()
        return longer

    # -- the model --

    def take(self, step):
        if step in ENDS:
            self.end(*ENDS[step])
        elif step == "ask":
            self.ask(stays=True)
        elif step == "command":
            self.command()
        else:
            self.at = max(self.at, self.next_moment() - (step == "short"))
            if step == "tick":
                self.rare("pass_time")

    def next_moment(self):
        deadlines = self.model.deadlines()
        return min(deadlines) if deadlines else (self.at // SECOND + 1) * SECOND

    def ask(self, *, stays):
        self.seq += 1
        edges = len(self.model.edges)
        # A model of its own notices the time, so that evidence has the number of this event.
        self.modelled.pass_time(self)
        answer = self.model.ask(self.at)
        row = None
        if answer.reason == "probe":
            permit = answer.permit
            row = Row(kernel.ADMITTED, self.seq, self.at, 0, permit.epoch, permit.probe)
        elif not answer.allowed:
            row = Row(kernel.REJECTED, self.seq, self.at)
        is_edge_taken = len(self.model.edges) > edges
        self.items += (Asked(self.seq, self.at, ANSWERS[answer.reason], row, is_edge_taken),)
        self.answers += (answer,)
        self.calls.append(Call(self.at, self.ended))
        number = len(self.calls) - 1
        if not answer.allowed:
            if stays:
                self.end_call(number, kernel.IGNORED, 0)
        else:
            self.under_way += ((number, answer.permit),)
        return answer.allowed

    def end(self, outcome, took):
        if not self.under_way and not self.ask(stays=False):
            self.end_call(len(self.calls) - 1, KINDS[outcome], took)
            return
        (number, permit), self.under_way = self.under_way[0], self.under_way[1:]
        self.seq += 1
        self.outcomes += (self.seq,)
        row = Row(KINDS[outcome], self.seq, self.at, took, permit.epoch, permit.probe)
        self.items += (row,)
        self.modelled.pass_time(row)
        self.model.report(permit, outcome, self.at, took, self.seq)
        self.end_call(number, row.kind, took)

    def end_call(self, number, outcome, took):
        call = self.calls[number]
        call.end, call.took, call.outcome, call.place = self.at, took, outcome, self.ended
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
        """What two sequences must agree in to go on alike; see the text above."""
        model, at = self.model, self.at
        seqs = sorted({call.seq for call in self.counted() if call.seq is not None})
        ranks = {seq: rank for rank, seq in enumerate(seqs)}

        def calls(these, since):
            return tuple([(c.at // SECOND - since, c.failed, c.slow, ranks[c.seq]) for c in these])

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
            tuple([(p.epoch == model.epoch, p.probe) for _, p in self.under_way]),
            at % SECOND,  # where the next whole second is, to which ticks go
            _layout(self.kernels[0].inner),
            self.is_of_calls,
        )

    def counted(self):
        model = self.model
        lists = model.failures_in_a_row, model.window, model.probe_window, model.probe_successes
        return [call for those in lists for call in those]

    # -- the sequence as a whole --

    def check(self):
        """Hold all that is told a sequence as a whole to the model."""
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
                elif isinstance(item, Rare) or item.is_edge_taken:
                    assert driven.run(rows) == 0
                    rows = []
                    drive(driven, item)
            assert driven.run(rows) == 0
            assert driven.seen() == expected, ("run", self.steps)

    def check_live(self):
        for detail in DETAILS:
            live = Live(self.case, self.orders, detail)
            for step, at in zip(self.steps, self.marks, strict=True):
                live.take(step, at)
            for decision, answer in zip(live.decisions, self.answers, strict=True):
                if decision is None:
                    assert answer.allowed
                else:
                    assert_same_answer(decision, answer)
            live.check(self.model, self.at, self.outcomes)

    def check_calls(self):
        """Hold ``simulate`` to the model, to which calls under way have ended as ignored."""
        sequence = evolve(
            self,
            modelled=_copied_model(self.modelled),
            calls=[evolve(call) for call in self.calls],
            at=self.at + LONG,
        )
        while sequence.under_way:
            sequence.end("ignored", 0)
        model, calls = sequence.model, sequence.calls
        expected = (
            [(edge.at, edge.trigger) for edge in model.edges],
            [model.totals[name] for name in KINDS],
            [n for n, answer in enumerate(self.answers) if not answer.allowed],
            sequence.modelled.answer(),
        )
        for of in kernels():
            assert simulated(of, self.case.config, calls) == expected, ("simulate", self.steps)


@frozen
class Rare:
    """What is no row: a method of ``Driven``, and what it is given before ``seq`` and ``at``."""

    method: str
    arguments: tuple
    seq: int
    at: int


def drive(driven, item):
    """Tell a kernel one item, and hold its answer to the model's."""
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
    """Where the items of a kernel's rings are."""
    rings = state.failure_seqs, state.window, state.probes, state.probe_seqs, state.probe_window
    return tuple([r and (r.first, r.length, r.removed, r.capacity) for r in rings])


# A live breaker.


class Live:
    """A live breaker on a log in memory, and the replay of that."""

    def __init__(self, case, orders, detail):
        self.case = case
        self.orders = iter(orders)
        self.detail = detail
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock, tick_seconds=None, detail=detail)
        self.breaker = CircuitBreaker(NAME, case.config, log=self.log)
        self.decisions, self.permits = [], []

    def take(self, step, at):
        """Take a step that ends at a time."""
        self.clock.advance(ns=at - self.clock.monotonic_ns())
        breaker = self.breaker
        if step in FUNCTIONS and self.detail == "runs" and not self.permits:
            self.call(FUNCTIONS[step])
        elif step in ENDS:
            outcome, took = ENDS[step]
            if self.permits or self.ask():
                getattr(breaker, METHODS[outcome])(self.permits.pop(0), took_ns=took)
        elif step == "ask":
            self.ask()
        elif step == "tick":
            breaker.set_mode(breaker.snapshot().mode)
        elif step == "command":
            self.command()

    def call(self, function):
        """Have a function called; the answer is known where it was rejected."""
        decision = None
        try:
            self.breaker.call(function)
        except CircuitOpenError as refusal:
            decision = refusal.decision
        except OSError:
            pass
        self.decisions.append(decision)

    def ask(self):
        decision = self.breaker.before_call()
        self.decisions.append(decision)
        if decision.permit is not None:
            self.permits.append(decision.permit)
        return decision.permit is not None

    def command(self):
        method, argument = next(self.orders)
        if method == "configure":
            self.breaker = CircuitBreaker(NAME, argument, log=self.log, on_other_config="replace")
        elif method == "set_mode":
            self.breaker.set_mode(argument)
        else:
            getattr(self.breaker, argument)()

    def check(self, model, at, outcomes):
        """Hold the breaker, the replay of its log and the fold of that to the model."""
        snapshot = self.breaker.snapshot()
        assert_same_state(snapshot, model, at)
        history = replay(self.log)
        assert history.differences == []
        assert history.snapshots[NAME] == snapshot
        if self.detail == "runs":
            assert_same_edges(history.edges, model, by_seq=False)
        else:
            edges = renumbered(history, list(self.log), outcomes)
            assert_same_edges(edges, evolve(model, edges=known(model.edges, outcomes)))
        assert folded(self.log, self.case.config) == self.breaker._state


def folded(events, config):
    """The state that single events lead to."""
    state = BreakerState(NAME, config)
    for event in events:
        if getattr(event, "breaker", NAME) == NAME and event.kind != "state_changed":
            apply(state, event)
    return state


def renumbered(history, events, outcomes):
    """The edges of a log, whose evidence has the numbers that outcomes have in the sequence."""
    kinds = ("call_succeeded", "call_failed", "call_ignored")
    numbers = [event.seq for event in events if event.kind in kinds]
    names = dict(zip(numbers, outcomes, strict=True))
    return [with_names(edge, names) for edge in history.edges]


def known(edges, outcomes):
    """The edges of a model, whose evidence has no number of an event that is no outcome."""
    names = dict(zip(outcomes, outcomes, strict=True))
    return [with_names(edge, names) for edge in edges]


def with_names(edge, names):
    cause = edge.cause
    renamed = {
        name: tuple([names.get(seq) for seq in getattr(cause, name)]) for name in ("seqs", "span")
    }
    return evolve(edge, cause=evolve(cause, **renamed))


# A simulation.


def simulated(of, config, calls):
    """What ``simulate`` makes of calls: edges, counters, rejected calls, and its last answer."""
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
    """Calls in the order of their starts, as the columns of a kernel."""
    by_end = sorted(range(len(calls)), key=lambda number: calls[number].place)
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
    """Two did not agree; the message begins with the steps."""


@frozen
class Walk:
    """What a walk has covered: sequences, and how many distinct states they lead to at each depth."""

    sequences: int
    distinct: int
    seconds: float


def walk(name, depth):
    """Tell every sequence of 1 to ``depth`` steps.

    Raises:
        DisagreementError: Two did not agree.
    """
    began = time.perf_counter()
    level = {None: [Sequence.empty(CASES[name]), 1]}
    sequences = distinct = 0
    for _ in range(depth):
        longer = {}
        for sequence, times in level.values():
            for step in STEPS:
                key = put(sequence, step, longer)
                longer[key][1] += times
        level = longer
        distinct += len(level)
        sequences += sum(times for _, times in level.values())
    return Walk(sequences, distinct, time.perf_counter() - began)


def put(sequence, step, others):
    """Tell one more step, and put the sequence among ``others`` if it leads where none does."""
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
