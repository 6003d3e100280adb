"""Sequences of steps on a live breaker, and the replay and fold of its log."""

from agreement import assert_same_edges, assert_same_state
from attrs import evolve
from kernel_scripts import NAME
from sequence_cases import ENDS

from recloser import CircuitBreaker, CircuitOpenError, ManualClock, MemoryLog
from recloser.core.fold import apply
from recloser.core.state import BreakerState
from recloser.history.engine import replay

METHODS = {"succeeded": "after_success", "failed": "after_failure", "ignored": "after_ignored"}


def succeed():
    return None


def fail():
    raise OSError


FUNCTIONS = {"success": succeed, "failure": fail}


class Live:
    """A live breaker on a log in memory, which is replayed at the end."""

    def __init__(self, case, orders, detail):
        self.case = case
        self.orders = iter(orders)
        self.detail = detail
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock, tick_seconds=None, detail=detail)
        self.breaker = CircuitBreaker(NAME, case.config, log=self.log)
        self.decisions, self.permits = [], []

    def perform(self, step, at):
        """Advance the clock to ``at``, in nanoseconds, and perform a step."""
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
        """Call a function; note the decision if the call was rejected, else None."""
        decision = None
        try:
            self.breaker.call(function)
        except CircuitOpenError as rejection:
            decision = rejection.decision
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
        """Compare the breaker, the replay of its log and the fold of its events with the model."""
        snapshot = self.breaker.snapshot()
        assert_same_state(snapshot, model, at)
        history = replay(self.log)
        assert history.differences == []
        assert history.snapshots[NAME] == snapshot
        if self.detail == "runs":
            assert_same_edges(history.edges, model, by_seq=False)
        else:
            edges = renumbered(history, list(self.log), outcomes)
            assert_same_edges(edges, evolve(model, edges=without_other_seqs(model.edges, outcomes)))
        assert folded(self.log, self.case.config) == self.breaker._state


def folded(events, config):
    """Fold the events of a log one by one; return the state."""
    state = BreakerState(NAME, config)
    for event in events:
        if getattr(event, "breaker", NAME) == NAME and event.kind != "state_changed":
            apply(state, event)
    return state


def renumbered(history, events, outcomes):
    """Return the edges of a history, with the numbers that outcomes have in the sequence."""
    kinds = ("call_succeeded", "call_failed", "call_ignored")
    numbers = [event.seq for event in events if event.kind in kinds]
    names = dict(zip(numbers, outcomes, strict=True))
    return [with_seqs(edge, names) for edge in history.edges]


def without_other_seqs(edges, outcomes):
    """Return edges whose evidence has None for each event that is not an outcome."""
    names = dict(zip(outcomes, outcomes, strict=True))
    return [with_seqs(edge, names) for edge in edges]


def with_seqs(edge, names):
    cause = edge.cause
    renamed = {
        name: tuple([names.get(seq) for seq in getattr(cause, name)]) for name in ("seqs", "span")
    }
    return evolve(edge, cause=evolve(cause, **renamed))
