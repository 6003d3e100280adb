"""Probes of a half-open breaker in the kernel: places, order, and what they cost."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kernel_breakers import SECOND, half_open, of_each_kernel, succeed, thresholds


@of_each_kernel
def test_probes_that_expire_at_one_event_are_one_entry_of_the_window(of):
    state = half_open(of, probe_window=thresholds(of, 9, failures=9, needed=9), max_probes=9)
    for probe in (1, 2, 3):
        of.step(state, of.ADMITTED, probe, 0, 0, state.epoch, probe, 1)
    assert of.advance(state, 9, 60 * SECOND) == of.NO_RULE
    assert state.probe_window.to_data() == [[9 << 2 | 3, 3]]
    assert state.probe_window.span() == (9, 9)
    assert state.probes.to_list() == []


@of_each_kernel
@pytest.mark.parametrize("order", ["first", "last", "middle"])
def test_probes_report_in_any_order_in_linear_time(of, order):
    """50,000 of them, where the square of that would take minutes."""
    many = 50_000
    state = half_open(of, max_probes=many, success_threshold=many)
    for probe in range(1, many + 1):
        of.step(state, of.ADMITTED, probe, probe, 0, state.epoch, probe, 1)
    probes = list(range(1, many + 1))
    if order == "last":
        probes.reverse()
    elif order == "middle":
        probes = probes[many // 2 :] + probes[: many // 2]
    begin = time.process_time()
    for probe in probes:
        assert of.step(state, of.IGNORED, probe, many, 0, state.epoch, probe, 1) == of.NO_RULE
    assert time.process_time() - begin < 10
    assert (state.ignored, state.probes.to_list(), state.deadline) == (many, [], of.NEVER)


@of_each_kernel
def test_lost_probe_does_not_keep_memory_for_later_probes(of):
    state = half_open(of, max_probes=2)
    for probe in range(1, 1001):
        assert of.step(state, of.ADMITTED, 1, 0, 0, 1, probe, 1) == of.NO_RULE
        if probe > 1:
            of.step(state, of.IGNORED, 1, 0, 0, 1, probe, 1)
    assert state.probes.to_list() == [1, 0]
    assert state.probes.capacity <= 8


@of_each_kernel
@given(st.lists(st.integers(0, 39), max_size=60), st.integers(0, 2))
def test_probes_may_end_in_any_order(of, leaving, asks):
    state = half_open(of, max_probes=1000)
    in_flight = {}

    def ask():
        probe = state.probes_admitted + 1
        in_flight[probe] = 10 * probe
        assert of.step(state, of.ADMITTED, 1, 10 * probe, 0, 1, probe, 1) == of.NO_RULE

    for _ in range(20):
        ask()
    for probe in leaving:
        of.step(state, of.IGNORED, 1, 1000, 0, 1, probe, 1)
        in_flight.pop(probe, None)
        for _ in range(asks):
            ask()
        assert state.probes is None or pairs(state.probes.to_list()) == in_flight
        first = min(in_flight.values(), default=None)
        assert state.deadline == (of.NEVER if first is None else first + 60 * SECOND)
        assert of.may_probe(state)
    state.probes.copy().extend((5, 5))
    assert pairs(state.probes.to_list()) == in_flight


@of_each_kernel
@given(st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=12))
@example([[0], [0], [0, 0, 0]])
@example([[3, 1, 0], [0], [4]])
def test_each_ended_probe_makes_place_for_another(of, leaving):
    state = half_open(of, max_probes=5)
    in_flight = []
    for places in [[], *leaving]:
        for place in places:
            if in_flight:
                probe = in_flight.pop(place % len(in_flight))
                of.step(state, of.IGNORED, 1, 0, 0, 1, probe, 1)
        while of.may_probe(state):
            probe = state.probes_admitted + 1
            assert of.step(state, of.ADMITTED, 1, 0, 0, 1, probe, 1) == of.NO_RULE
            in_flight.append(probe)
        assert len(in_flight) == 5


def pairs(numbers):
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


@of_each_kernel
def test_probes_asked_for_take_places(of):
    state = half_open(of, max_probes=3)
    of.step(state, of.ADMITTED, 1, 0, 0, 1, 1, 1)
    assert [of.may_probe(state, asked) for asked in (0, 1, 2)] == [True, True, False]
    windowed = half_open(of, probe_window=thresholds(of, 3, failures=3))
    of.step(windowed, of.ADMITTED, 1, 0, 0, 1, 1, 1)
    succeed(of, windowed, 2, probe=1)
    assert [of.may_probe(windowed, asked) for asked in (0, 1, 2)] == [True, True, False]
