"""The state machine of a breaker: its states and edges, declared as data for ``transitions``.

The kernel decides when an edge is due; this module declares where it leads. One machine serves all
breakers, since a model of ``transitions`` has no data except for its state.
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
    """The declaration of one edge; ``when`` is the text in diagrams."""

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
    """A trigger that takes its edge without writing to the logger of ``transitions``.

    An edge is taken under a lock, and a user's log handler must not run under it.
    """

    def trigger(self, model: Any, *_args: object, **_kwargs: object) -> bool:
        """Take the edge of this name that leaves the model's state; only the state changes.

        Raises:
            MachineError: No edge of this name leaves the state.
        """
        # `_name_` and `_value_` are quicker than `name` and `value`, which look them up.
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
    """An object with a state, which the machine changes."""

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
    """Take the edge of a trigger, which changes ``model.state``.

    Raises:
        FoldError: No edge of that name leaves the model's state.
    """
    try:
        _MACHINE.events[trigger._value_].trigger(model)
    except MachineError as error:
        raise FoldError(f"no edge {trigger.value!r} leaves {model.state.value}") from error


def as_data() -> list[dict[str, object]]:
    """The edges as data for JSON, one entry per edge and state that it leaves."""
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
    """The arrows of a diagram, as (source, destination, label).

    Edges between the same states for the same reason share one arrow.
    """
    triggers: dict[tuple[str, str, str], list[str]] = {}
    for edge in EDGES:
        for source in edge.sources:
            arrow = (source.value, edge.dest.value, edge.when)
            triggers.setdefault(arrow, []).append(edge.trigger.value)
    return [
        (source, dest, f"{', '.join(names)} ({when})")
        for (source, dest, when), names in triggers.items()
    ]
