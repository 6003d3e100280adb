"""Chunks get the lines that the codec gives their events, whichever way those are made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import BreakerConfigured, CallFailed, LogOpened, LogSealed
from recloser.core.state import BreakerState
from recloser.live import line_encoding
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_tokens import AdmitToken
from recloser.live.line_encoding import IS_COMPILED, encoded
from recloser.live.pending_calls import Outcomes, PendingCalls
from recloser.live.write_buffer import WriteBuffer
from recloser.log.codec import encode, full, lean
from recloser.log.write_batch import callers_in

needs_compiled = pytest.mark.skipif(
    not IS_COMPILED, reason="recloser.live.outcome_lines is missing: pip had no C compiler"
)
numbers = st.integers(0, 2**63 - 1)


def token_of(breaker, epoch=0):
    state = BreakerState(breaker, CircuitBreakerConfig())
    state.epoch = epoch
    return AdmitToken(state)


def successes(tokens, numbers_of, first_seq=1):
    call_buffer = CallBuffer()
    for (at, took), token in zip(numbers_of, tokens, strict=True):
        call_buffer.record(at, took, token)
    return Outcomes(PendingCalls.of(call_buffer), first_seq)


def lines_of(chunk):
    return b"".join(encode(full(event)) for event in chunk)


def joined(parts):
    return b"".join(bytes(part) for part in parts)


@needs_compiled
@given(
    st.text(),
    st.integers(0, 2**40),
    st.integers(1, 2**62),
    st.lists(st.tuples(numbers, numbers), min_size=8, max_size=40),
)
def test_compiled_lines_are_those_of_the_codec(breaker, epoch, first_seq, numbers_of):
    chunk = successes([token_of(breaker, epoch)] * len(numbers_of), numbers_of, first_seq)
    ((_, parts),) = encoded([chunk])
    assert all(isinstance(part, memoryview) for part in parts)
    assert joined(parts) == lines_of(chunk)


@needs_compiled
@given(st.lists(st.sampled_from(["a", "b", '"', "é"]), min_size=32, max_size=60))
def test_compiled_lines_of_many_breakers_name_each_its_own(names):
    tokens = {name: token_of(name) for name in set(names)}
    chunk = successes([tokens[name] for name in names], [(n, n) for n in range(len(names))])
    ((_, parts),) = encoded([chunk])
    assert all(isinstance(part, memoryview) for part in parts)
    assert joined(parts) == lines_of(chunk)


def test_codec_encodes_what_the_compiled_code_can_not(monkeypatch):
    """Where a breaker has too few calls for it, and where nothing is compiled."""
    few = successes([token_of("a"), token_of("b")], [(1, 2), (3, 4)])
    many = successes([token_of("a")] * 9, [(n, 2) for n in range(9)])
    expected = [lines_of(few), lines_of(many)]
    assert [joined(parts) for _, parts in encoded([few, many])] == expected
    monkeypatch.setattr(line_encoding, "outcome_lines", None)
    monkeypatch.setattr(line_encoding, "IS_COMPILED", False)
    assert [joined(parts) for _, parts in encoded([few, many])] == expected


@needs_compiled
@pytest.mark.parametrize("number", [-1, -(2**63)])
def test_numbers_that_no_log_holds_fail_as_they_do_without_compiled_code(number, monkeypatch):
    chunk = successes([token_of("a")] * 9, [(number, 2)] * 9)

    def outcome():
        try:
            return joined(next(encoded([chunk]))[1])
        except OverflowError as error:
            return str(error)

    compiled = outcome()
    monkeypatch.setattr(line_encoding, "IS_COMPILED", False)
    assert outcome() == compiled


def test_chunks_keep_their_order_for_any_number_encoded_at_once(monkeypatch):
    monkeypatch.setattr(line_encoding, "_AT_ONCE", 20)
    batch = [
        successes([token_of("a")] * 12, [(n, 1) for n in range(12)], 1),
        [CallFailed(13, 13, "a", 0, 1, error="E")],
        successes([token_of("b")] * 30, [(n, 1) for n in range(30)], 14),
        (LogSealed(44, 44, 44, "0" * 64),),
        successes([token_of("a")] * 12, [(n, 1) for n in range(12)], 45),
    ]
    made = list(encoded(batch))
    assert [chunk for chunk, _ in made] == batch
    assert [joined(parts) for _, parts in made] == [lines_of(chunk) for chunk in batch]


def test_the_line_of_a_header_is_left_to_its_segment(clock):
    header = header_at(1, clock)
    witness = BreakerConfigured(2, 0, "a", {})
    ((_, alone),) = encoded([[header]])
    ((_, with_witness),) = encoded([[header, witness]])
    assert joined(alone) == b""
    assert joined(with_witness) == encode(witness)


def test_events_added_one_by_one_are_encoded_together():
    failed = [lean(CallFailed)(seq, seq, "a", 0, 1, error="E") for seq in range(1, 7)]
    edge = BreakerConfigured(5, 5, "a", {})  # any that is not lean
    buffer = WriteBuffer(None, 0)
    for events in ([failed[0]], [failed[1]], [failed[2], edge], [failed[3]], (failed[4],)):
        buffer.seq = 0
        buffer.put(events, None)
    buffer.seq = 0
    buffer.put(successes([token_of("a")] * 2, [(6, 1), (7, 1)]), None)
    buffer.seq = 0
    buffer.put([failed[5]], None)
    batch = buffer.chunks
    assert [len(chunk) for chunk in batch] == [2, 2, 2, 2, 1]
    in_order = [*failed[:3], edge, *failed[3:5], *batch[3], failed[5]]
    assert [event for chunk in batch for event in chunk] == in_order
    lines = b"".join(joined(parts) for _, parts in encoded(batch))
    assert lines == b"".join(encode(event) for event in in_order)


def test_lost_events_are_counted_without_the_logs_own_events(clock):
    header = header_at(1, clock)
    witness = BreakerConfigured(2, 0, "a", {})
    seal = LogSealed(3, 0, 2, "0" * 64)
    calls = successes([token_of("a")] * 3, [(n, 1) for n in range(3)])
    assert callers_in([[header, witness], (seal,), calls]) == 4


def header_at(seq, clock):
    return LogOpened(
        seq=seq,
        at=0,
        format=1,
        rules=1,
        session=1,
        wall=clock.now(),
        monotonic=0,
        boot_id="",
        host="",
        pid=1,
        library="",
        checkpoints=0,
    )
