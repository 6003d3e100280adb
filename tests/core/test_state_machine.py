"""The edges are declared once, and ``transitions`` takes them."""

import logging

import pytest
from attrs import define

from recloser import CircuitBreakerState, FoldError, Trigger
from recloser.core import state_machine
from recloser.core.state_machine import CLOSED, HALF_OPEN, OPEN, fire

LEGAL = {
    (CLOSED, Trigger.TRIP): OPEN,
    (OPEN, Trigger.COOL): HALF_OPEN,
    (HALF_OPEN, Trigger.RECOVER): CLOSED,
    (HALF_OPEN, Trigger.RELAPSE): OPEN,
    **{(state, Trigger.FORCE_OPEN): OPEN for state in CircuitBreakerState},
    **{(state, Trigger.FORCE_CLOSED): CLOSED for state in CircuitBreakerState},
    **{(state, Trigger.RESET): CLOSED for state in CircuitBreakerState},
}


@define
class Model:
    state: CircuitBreakerState


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", CircuitBreakerState)
def test_each_trigger_leads_where_the_design_says_or_is_refused(state, trigger):
    model = Model(state)
    if (state, trigger) in LEGAL:
        fire(model, trigger)
        assert model.state is LEGAL[state, trigger]
    else:
        with pytest.raises(FoldError, match=f"no edge '{trigger.value}' leaves {state.value}"):
            fire(model, trigger)
        assert model.state is state


def test_the_edges_are_taken_by_transitions(monkeypatch):
    """With its machine gone, no edge can be taken: nothing else moves a breaker."""
    monkeypatch.setattr(state_machine._MACHINE, "events", {})
    with pytest.raises(KeyError):
        fire(Model(CLOSED), Trigger.TRIP)


def test_an_edge_runs_no_log_handler(caplog):
    """An edge is taken under a lock: a log handler that calls a breaker would wait for ever."""
    caplog.set_level(logging.DEBUG)
    for state, trigger in LEGAL:
        fire(Model(state), trigger)
    with pytest.raises(FoldError):
        fire(Model(CLOSED), Trigger.COOL)
    assert caplog.records == []


def test_the_diagrams_show_every_edge():
    for diagram, arrow in ((state_machine.mermaid(), "-->"), (state_machine.dot(), "->")):
        for (state, trigger), dest in LEGAL.items():
            lines = [line for line in diagram.splitlines() if trigger.value in line]
            assert any(
                line.strip().startswith(f"{state.value} {arrow} {dest.value}") for line in lines
            )


def test_the_data_has_a_row_for_every_edge():
    rows = {(row["from"], row["trigger"]): row["to"] for row in state_machine.as_data()}
    assert rows == {(s.value, t.value): d.value for (s, t), d in LEGAL.items()}
