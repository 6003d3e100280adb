"""The edges: the one statement of where a breaker can go, as data for ``transitions``.

When a trigger is due is decided in ``recloser.core.fold``; where it leads is decided here. One machine
serves all breakers, since a model carries nothing but its state.
"""

from typing import Any, Final, Protocol

from attrs import frozen
from transitions import Event, Machine, MachineError

from recloser.core.events import CircuitBreakerState, Trigger
from recloser.errors import FoldError

CLOSED: Final = CircuitBreakerState.CLOSED
OPEN: Final = CircuitBreakerState.OPEN
HALF_OPEN: Final = CircuitBreakerState.HALF_OPEN


@frozen
class EdgeRule:
    """One row of the declaration; ``when`` is for people and appears in the diagram."""

    trigger: Trigger
    sources: tuple[CircuitBreakerState, ...]
    dest: CircuitBreakerState
    when: str


_ANY: Final = (CLOSED, OPEN, HALF_OPEN)

EDGES: Final = (
    EdgeRule(Trigger.TRIP, (CLOSED,), OPEN, "failures reach the threshold"),
    EdgeRule(Trigger.COOL, (OPEN,), HALF_OPEN, "the cooldown is over"),
    EdgeRule(Trigger.RECOVER, (HALF_OPEN,), CLOSED, "enough probes succeed"),
    EdgeRule(Trigger.RELAPSE, (HALF_OPEN,), OPEN, "a probe fails"),
    EdgeRule(Trigger.FORCE_OPEN, _ANY, OPEN, "an operator's command"),
    EdgeRule(Trigger.FORCE_CLOSED, _ANY, CLOSED, "an operator's command"),
    EdgeRule(Trigger.RESET, _ANY, CLOSED, "an operator's command"),
)


class _SilentEvent(Event):
    """A trigger that tells the log of ``transitions`` nothing.

    An edge is taken under a lock, where no handler of a user may run.
    """

    def trigger(self, model: Any, *_args: object, **_kwargs: object) -> bool:
        """Take the edge of this name that leaves the model's state.

        Nothing happens on it but that the state changes: the counters are the fold's.

        Raises:
            MachineError: There is none.
        """
        # ``_name_`` and ``_value_`` are what ``name`` and ``value`` look up, at a tenth of the time.
        edges = self.transitions.get(model.state._name_)
        if edges is None:
            raise MachineError(f"{self.name} does not leave {model.state._name_}")
        dest = edges[0].dest
        assert dest is not None
        machine = self.machine
        machine.set_state(machine.states[dest], (model,))
        return True


class _SilentMachine(Machine):
    event_cls = _SilentEvent


class Model(Protocol):
    """What the machine drives: anything with a state."""

    state: CircuitBreakerState


_MACHINE: Final = _SilentMachine(
    model=None,
    states=CircuitBreakerState,
    initial=CLOSED,
    auto_transitions=False,
    transitions=[
        {"trigger": edge.trigger.value, "source": list(edge.sources), "dest": edge.dest}
        for edge in EDGES
    ],
)


def fire(model: Model, trigger: Trigger) -> None:
    """Take the edge that ``trigger`` names, changing ``model.state``.

    Raises:
        FoldError: No edge of that name leaves the model's state.
    """
    try:
        _MACHINE.events[trigger._value_].trigger(model)
    except MachineError as error:
        raise FoldError(f"no edge {trigger.value!r} leaves {model.state.value}") from error


def as_data() -> list[dict[str, object]]:
    """The edges as data for JSON, one for each state that it leaves."""
    return [
        {
            "trigger": edge.trigger.value,
            "from": source.value,
            "to": edge.dest.value,
            "when": edge.when,
        }
        for edge in EDGES
        for source in edge.sources
    ]


def mermaid() -> str:
    """The state machine as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {CLOSED.value}"]
    lines += [f"    {source} --> {dest}: {label}" for source, dest, label in _arrows()]
    return "\n".join(lines)


def dot() -> str:
    """The state machine as a Graphviz digraph."""
    lines = ["digraph breaker {", "    rankdir=LR;"]
    lines += [f'    {source} -> {dest} [label="{label}"];' for source, dest, label in _arrows()]
    return "\n".join([*lines, "}"])


def _arrows() -> list[tuple[str, str, str]]:
    """One arrow for all edges that go the same way for the same reason."""
    triggers: dict[tuple[str, str, str], list[str]] = {}
    for edge in EDGES:
        for source in edge.sources:
            way = (source.value, edge.dest.value, edge.when)
            triggers.setdefault(way, []).append(edge.trigger.value)
    return [
        (source, dest, f"{', '.join(names)} ({when})")
        for (source, dest, when), names in triggers.items()
    ]
