"""The line of a checkpoint is compared as text, and decoded only if it differs."""

import pytest
from hypothesis import given

from recloser import CircuitBreakerConfig, FoldError
from recloser.core.events import Checkpoint, Reset
from recloser.core.limits import LAST_COUNTER
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState, dump, restore
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import encode
from recloser.testing import strategies as rst


def line_of(state, seq=5, at=7):
    text = encode(Checkpoint(seq, at, state.breaker, dump(state)))
    return CheckpointLine(seq, at, state.breaker, text)


@given(rst.logs())
def test_written_line_matches_its_own_state_only(log):
    fold = LogFold()
    for event in log:
        fold.apply(event)
    for state in fold.breakers.values():
        assert line_of(state).is_of(state)
        for other in fold.breakers.values():
            assert line_of(state).is_of(other) == (dump(state) == dump(other))


@pytest.mark.parametrize("change", ["seq", "at", "breaker"])
def test_line_of_another_time_or_breaker_does_not_match(change):
    state = BreakerState("b", CircuitBreakerConfig())
    line = line_of(state)
    setattr(line, change, "c" if change == "breaker" else 9)
    assert not line.is_of(state)


def test_state_that_a_reader_refuses_does_not_match():
    state = BreakerState("b", CircuitBreakerConfig())
    state.succeeded = LAST_COUNTER
    assert line_of(state).is_of(state)
    state.succeeded += 1
    assert not line_of(state).is_of(state)


def test_line_decodes_to_its_checkpoint():
    state = BreakerState("b", CircuitBreakerConfig())
    assert restore(line_of(state).read()) == state


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        encode(Reset(5, 7, "b")),
        encode(Checkpoint(6, 7, "b", {})),
        encode(Checkpoint(5, 8, "b", {})),
        encode(Checkpoint(5, 7, "b", {})).replace(b'"b"', b'"b","breaker":"c"'),
    ],
)
def test_line_without_the_expected_checkpoint_is_an_error(line):
    with pytest.raises(FoldError, match="event 5"):
        CheckpointLine(5, 7, "b", line).read()
