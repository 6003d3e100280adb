"""The compiled reader reads what the library writes, and nothing that msgspec reads differently."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    ForcedOpen,
    ProbeAdmitted,
    Reason,
)
from recloser.core.limits import MAX_AT, MAX_COUNT, MAX_SEQ, MAX_WHOLE
from recloser.errors import DamagedLogError
from recloser.log.codec import decode, encode
from recloser.log.seals import SealChain

outcome_rows = pytest.importorskip(
    "recloser.log.outcome_rows", reason="recloser.log.outcome_rows is missing: no C compiler"
)

SUCCEEDED, FAILED, IGNORED, REJECTED, ADMITTED, OTHER = range(6)


def numbers(most, least=0):
    return st.integers(least, most) | st.sampled_from([least, most]) | st.integers(least, 10**6)


plain_characters = st.characters(
    min_codepoint=32, exclude_characters='"\\', exclude_categories=["Cs"]
)
plain_texts = st.text(plain_characters, max_size=9)
base = {"seq": numbers(MAX_SEQ), "at": numbers(MAX_AT), "breaker": plain_texts}
call = {
    **base,
    "epoch": numbers(MAX_WHOLE),
    "took": numbers(MAX_WHOLE),
    "probe": numbers(MAX_WHOLE),
}
counts = {"count": st.just(1) | numbers(MAX_COUNT, 1)}
errors = {"error": st.none() | plain_texts}
outcomes = st.one_of(
    st.builds(CallSucceeded, **call, **counts),
    st.builds(CallFailed, **call, **errors),
    st.builds(CallIgnored, **call, **errors),
    st.builds(
        CallRejected,
        **base,
        **counts,
        reason=st.sampled_from(Reason),
        retry_after=st.none() | numbers(MAX_WHOLE),
    ),
    st.builds(ProbeAdmitted, **base, epoch=numbers(MAX_WHOLE), probe=numbers(MAX_WHOLE)),
)


def reader(*lines):
    """An ``OutcomeRows`` that has read the given lines."""
    made = outcome_rows.OutcomeRows(-1, 0)
    assert made.read(b"".join(lines)) == len(lines)
    return made


def event_of(row):
    """Return the event that a row holds."""
    kind, seq, at, breaker, epoch, took, probe, count, text = row
    if kind == SUCCEEDED:
        return CallSucceeded(seq, at, breaker, epoch, took, probe, count)
    if kind in (FAILED, IGNORED):
        of = CallFailed if kind == FAILED else CallIgnored
        return of(seq, at, breaker, epoch, took, probe, text)
    if kind == REJECTED:
        return CallRejected(seq, at, breaker, text, None if took < 0 else took, count)
    assert kind == ADMITTED
    return ProbeAdmitted(seq, at, breaker, epoch, probe)


@given(outcomes)
def test_outcome_without_escapes_becomes_an_equal_row(event):
    line = encode(event)
    read = reader(line)
    assert read.others == []
    assert event_of(read.row(0)) == event
    assert (read.seq, read.at) == (event.seq, event.at)


PIECES = [
    *(bytes([byte]) for byte in b'":,}{ 01239-+.eE\\\n\0\t\x1f\x7f\x80\xc3\xff'),
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80",
    b"\\u0041",
    b"null",
    b"18446744073709551617",
    b"00",
    b',"probe":0',
    b',"probe":3',
    b',"count":1',
    b',"count":2147483648',
    b',"error":null',
    b',"error":"E"',
    b',"retry_after":1',
    b'"seq":1,',
    b'"event":"call_failed",',
]
changes = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 3),
        st.sampled_from(PIECES) | st.binary(max_size=2),
    ),
    min_size=1,
    max_size=3,
)


def changed(line, those):
    """Replace some bytes of a line, and keep it one line."""
    for where, count, piece in those:
        index = int(where * len(line))
        line = line[:index] + piece + line[index + count :]
    return line.replace(b"\n", b"") + b"\n"


FIRST = CallFailed(1, 2, "b", 0, 5, 0, "E")


@settings(max_examples=2000)
@given(outcomes, changes)
@example(FIRST, [(0.99, 1, b"} ")])
@example(FIRST, [(0.0, 0, b" ")])
@example(FIRST, [(0.5, 1, b"\xff")])
def test_changed_line_is_read_as_msgspec_reads_it_or_not_at_all(event, those):
    line = changed(encode(event), those)
    read = outcome_rows.OutcomeRows(-1, 0)
    if read.read(line) == 1 and not read.others and read.size:
        assert event_of(read.row(0)) == decode(line)
        assert encode(decode(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        encode(CallSucceeded(MAX_SEQ, 1, "b", 0, 0)).replace(
            b"%d" % MAX_SEQ, b"%d" % (MAX_SEQ + 1)
        ),
        encode(CallSucceeded(1, 1, "b", 0, MAX_WHOLE)).replace(b"%d" % MAX_WHOLE, b"%d" % 2**63),
        encode(CallSucceeded(1, 1, "b", 0, 7)).replace(b'"took":7', b'"took":%d' % (2**64 + 7)),
        encode(CallSucceeded(1, 1, "b", 0, 0)).replace(b'"b"', b'"\xff"'),
        encode(CallRejected(1, 1, "b", Reason.SHADOW)).replace(b"shadow", b"shade"),
        encode(CallFailed(1, 1, "b", 0, 0, error="E")).replace(b'"E"', b"5"),
    ],
)
def test_line_that_msgspec_refuses_is_left_to_msgspec(line):
    with pytest.raises(DamagedLogError):
        decode(line)
    read = outcome_rows.OutcomeRows(-1, 0)
    if read.read(line) == 1:
        assert [text for *_, text in read.others] == [line]


def test_text_with_an_escape_is_left_to_msgspec():
    line = encode(CallFailed(3, 4, "b", 0, 0, error='say "no"'))
    assert reader(line).others == [(0, 3, 4, None, line)]


def test_rows_are_grouped_by_breaker_in_order():
    events = [
        CallSucceeded(1, 5, "a", 0, 9),
        CallFailed(2, 6, "b", 1, 8, 3, "E"),
        CallSucceeded(3, 7, "a", 0, 7, 0, 4),
        ForcedOpen(4, 7, "b"),
        CallRejected(5, 8, "b", Reason.FORCED_OPEN, 11, 2),
    ]
    read = reader(*map(encode, events))
    read.name(3, "b")
    names, starts, columns, others = read.by_breaker()
    assert (names, list(starts), others) == (["a", "b"], [0, 2, 5], [(3, 0)])
    assert [list(column[:5]) for column in columns] == [
        [SUCCEEDED, SUCCEEDED, FAILED, OTHER, REJECTED],
        [1, 3, 2, 4, 5],
        [5, 7, 6, 7, 8],
        [9, 7, 8, 0, 11],
        [0, 0, 1, 0, 0],
        [0, 0, 3, 0, 0],
        [1, 4, 1, 0, 2],
    ]


def test_many_breakers_and_errors_keep_their_names():
    events = [CallFailed(n + 1, n, f"b{n % 3000}", 0, 0, error=f"E{n % 1777}") for n in range(6000)]
    read = reader(*map(encode, events))
    assert [event_of(read.row(n)) for n in range(6000)] == events
    names, starts, *_ = read.by_breaker()
    assert names == [f"b{n}" for n in range(3000)]
    assert list(starts) == [2 * n for n in range(3001)]


def test_seal_has_no_row_and_checkpoint_has_its_breaker():
    seal = SealChain().seal(2, 1)[1]
    checkpoint = encode(Checkpoint(1, 1, "b", {}))
    read = reader(checkpoint, seal)
    assert (read.size, read.seq) == (1, 2)
    assert read.others == [(0, 1, 1, "b", checkpoint)]


@pytest.mark.parametrize("second", [(1, 5), (3, 5), (2, 4)], ids=["again", "hole", "earlier"])
def test_lines_out_of_order_are_not_read(second):
    read = reader(encode(CallSucceeded(1, 5, "b", 0, 0)))
    lines = encode(ForcedOpen(2, 5, "b")) + encode(
        CallSucceeded(second[0] + 1, second[1], "b", 0, 0)
    )
    if second == (2, 4):
        lines = encode(ForcedOpen(2, 4, "b"))
    assert read.read(lines) == -1
    assert (read.size, read.seq, read.at, read.others) == (1, 1, 5, [])
    assert read.read(encode(CallSucceeded(2, 5, "b", 0, 0))) == 1


@pytest.mark.parametrize(
    "line", [b"\n", b"x\n", b'{"event":"reset"}\n', b'{"event":"reset","seq":1']
)
def test_line_with_an_unknown_beginning_is_not_read(line):
    assert outcome_rows.OutcomeRows(-1, 0).read(line) == -1


def test_start_outside_of_the_lines_is_an_error():
    for start in (-1, 2):
        with pytest.raises(ValueError, match="is outside of 1 bytes"):
            outcome_rows.OutcomeRows().read(b"\n", start)
