"""Checkpoints in parts: what is taken apart into lines is joined to what it was."""

import json
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.core.checkpoint_parts import CheckpointParts, pieces_of
from recloser.core.events import Checkpoint
from recloser.core.limits import MAX_COUNT, MAX_WHOLE, PART_BYTES, ROWS_IN_LINE
from recloser.errors import FoldError
from recloser.log.codec import decode, encode

natural = st.integers(0, MAX_WHOLE)
pairs = st.tuples(natural, st.integers(2, MAX_COUNT)).map(list)
seconds = st.lists(natural, min_size=6, max_size=6)


def rows(of):
    return st.lists(of, max_size=40) | st.lists(of, max_size=10).map(lambda some: some * 200)


states = st.fixed_dictionaries(
    {
        "mode": st.just("enforce"),
        "failure_seqs": rows(natural),
        "window": st.none() | rows(natural) | rows(pairs) | rows(natural | pairs) | rows(seconds),
        "probes": st.dictionaries(natural.map(str), natural, max_size=400),
        "probe_window": st.none() | rows(natural),
    }
)


def lines_of(state):
    return [encode(Checkpoint(1, 0, "b", *piece)) for piece in pieces_of(state)]


def joined(events):
    parts = CheckpointParts()
    *before, last = [parts.joined(event) for event in events]
    assert not any(before)
    return last


@given(states)
def test_a_state_is_the_same_after_its_lines_are_joined(state):
    lines = lines_of(state)
    assert max(map(len, lines)) < PART_BYTES + 200
    whole = joined(map(decode, lines))
    assert (whole.part, whole.parts) == (1, 1)
    assert json.loads(json.dumps(whole.state)) == state


def test_a_small_state_is_one_line_as_in_format_1():
    (line,) = lines_of({"window": list(range(ROWS_IN_LINE)), "probes": {}})
    assert b"part" not in line


def test_a_million_outcomes_in_a_row_take_two_bytes_each():
    lines = lines_of({"window": list(range(0, 4_000_000, 4))})
    assert sum(map(len, lines)) < 2_100_000


def pieces(count=4_000):
    state = {"window": [7919 * 10**9 * number % 10**15 for number in range(count)]}
    return [decode(line) for line in lines_of(state)]


def test_checkpoint_begun_again_after_a_crash_replaces_its_first_parts():
    left, whole = pieces(9_000), pieces()
    parts = CheckpointParts()
    for event in [*left[:-1], *whole[:-1]]:
        assert parts.joined(event) is None
    assert len(parts.joined(whole[-1]).state["window"]) == 4_000


@pytest.mark.parametrize("missing", [0, 1, -2])
def test_a_missing_part_is_named(missing):
    events = pieces()
    del events[missing]
    with pytest.raises(
        FoldError, match=r"event 1 \(checkpoint\): part \d+ of \d+ must follow part"
    ):
        joined(events)


def test_parts_of_several_breakers_may_alternate():
    others = [Checkpoint(1, 0, "c", *piece) for piece in pieces_of({"window": [1] * 9_000})]
    parts, whole = CheckpointParts(), {}
    for pair in zip_longest(pieces(), others):
        for event in filter(None, pair):
            last = parts.joined(event)
            if last is not None:
                whole[last.breaker] = len(last.state["window"])
    assert whole == {"b": 4_000, "c": 9_000}


@pytest.mark.parametrize(
    "stretch", [{"mode": [1]}, {"window": "x"}, {"window": [[1, 2, 3]]}, {"window": [None]}]
)
def test_part_without_a_stretch_of_a_list_is_refused(stretch):
    with pytest.raises(FoldError, match=r"event 5 \(checkpoint\)"):
        CheckpointParts().joined(Checkpoint(5, 0, "b", stretch, 1, 2))


def test_parts_whose_sums_are_out_of_range_are_refused():
    last = {"mode": "enforce", "window": []}
    parts = CheckpointParts()
    assert parts.joined(Checkpoint(1, 0, "b", {"window": [MAX_WHOLE, 1]}, 1, 2)) is None
    with pytest.raises(FoldError, match=r"^event 2 \(checkpoint\): .*out of range"):
        parts.joined(Checkpoint(2, 0, "b", last, 2, 2))
