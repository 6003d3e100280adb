"""Seals are chained over every byte, in a way that other tools can check."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.core.events import GENESIS, Reset
from recloser.log import seals
from recloser.log.codec import decode, encode
from recloser.log.seals import SealChain, is_seal, lines_before_seal

LINES = [encode(Reset(seq, 0, "b")) for seq in (1, 2, 3)]
SEAL = SealChain().seal(4, 0)[1]
NEARLY_SEALS = [SEAL[:10] + b"\n", b" " + SEAL, b"\n", SEAL[:22] + b"\n"]


@pytest.fixture(params=["compiled", "plain"], scope="module")
def way(request):
    """With the compiled module, and without it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(seals, "seal_search", None)
        elif seals.seal_search is None:
            pytest.skip("recloser.log.seal_search is missing: pip had no C compiler")
        yield


def test_digest_follows_the_specification():
    """SHA-256 of the previous digest, the block, and the seal's line up to its own digest."""
    chain = SealChain()
    for line in LINES:
        chain.add(line)
    sealed, line = chain.seal(4, 7)
    covered, _, rest = line.partition(b'"digest":"')
    text = GENESIS.encode() + b"".join(LINES) + covered + b'"digest":"'
    assert sealed.digest == hashlib.sha256(text).hexdigest()
    assert rest == sealed.digest.encode() + b'"}\n'
    assert (sealed.seq, sealed.at, sealed.count) == (4, 7, 3)
    assert decode(line) == sealed
    assert is_seal(line)
    assert not is_seal(LINES[0])


def test_each_seal_depends_on_the_one_before():
    first, second = SealChain(), SealChain("f" * 64)
    for chain in (first, second):
        chain.add(LINES[0])
    assert first.seal(2, 0)[0].digest != second.seal(2, 0)[0].digest


def test_sealed_segment_carries_its_last_digest():
    chain = SealChain()
    assert chain.carried() == GENESIS
    chain.add(LINES[0])
    sealed, _ = chain.seal(2, 0)
    assert chain.carried() == sealed.digest
    assert chain.count == 0


def test_unsealed_segment_carries_the_digest_of_its_last_lines():
    chain = SealChain()
    chain.add(LINES[0])
    sealed, _ = chain.seal(2, 0)
    chain.add(LINES[1])
    expected = hashlib.sha256(sealed.digest.encode() + LINES[1]).hexdigest()
    assert chain.carried() == expected
    assert chain.count == 1


def first_seal(lines):
    """The index of the first seal among the lines; the number of lines if there is none."""
    return next((index for index, line in enumerate(lines) if is_seal(line)), len(lines))


@given(st.lists(st.sampled_from([*LINES, *LINES, SEAL, *NEARLY_SEALS])), st.data())
def test_lines_before_the_next_seal_are_counted(way, lines, data):
    begin = data.draw(st.integers(0, len(lines)))
    end = data.draw(st.integers(begin, len(lines)))
    before, between = b"".join(lines[:begin]), b"".join(lines[begin:end])
    count = first_seal(lines[begin:end])
    seal = len(before) + len(b"".join(lines[begin : begin + count]))
    bounds = len(before), len(before) + len(between)
    assert lines_before_seal(b"".join(lines), *bounds) == (count, seal)


def blocks(chain, sizes):
    """The lines of blocks of the given sizes, each with its seal."""
    lines = []
    for size in sizes:
        for line in LINES[:size]:
            chain.add(line)
            lines.append(line)
        lines.append(chain.seal(4, 7)[1])
    return lines


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("unsealed", [[], LINES[:2]])
def test_all_blocks_with_matching_seals_are_closed(unsealed):
    writer, reader = SealChain("a" * 64), SealChain("a" * 64)
    text = b"".join(blocks(writer, [3, 0, 1]))
    rest = b"".join(unsealed)
    begin = b"what is before"
    start = len(begin)
    taken = reader.close_blocks(begin + text + rest, start, start + len(text + rest))
    end = start + len(text)
    assert taken == (end, 7, 3, len(unsealed), end + len(rest))
    assert (reader.count, reader.carried()) == (0, writer.carried())


@pytest.mark.usefixtures("way")
def test_block_may_begin_in_earlier_lines():
    writer, reader = SealChain(), SealChain()
    first, *lines = blocks(writer, [3, 1])
    reader.add(first)
    text = b"".join(lines)
    assert reader.close_blocks(text, 0, len(text))[:3] == (len(text), 5, 2)
    assert reader.carried() == writer.carried()


OTHERS = [
    (b'"count":2', b'"count":1'),
    (b'"count":2', b'"count":02'),
    (b'"seq":4', b'"seq":5'),
    (b'"seq":4', b'"seq":04'),
    (b'"seq":4', b'"seq": 4'),
    (b'"at":7', b'"at":8'),
    (b'"at":7', b'"at":%d' % 2**63),
    (b'"}', b'f"}'),
    (b'"}\n', b'"} \n'),
    (b"log_sealed", b"log_closed"),
    (b'"}\n', b'"}'),
]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("part", "other"), OTHERS)
@pytest.mark.parametrize("earlier", [[], [1], [3, 1]])
def test_block_with_a_wrong_seal_is_not_closed(earlier, part, other):
    writer, reader = SealChain(), SealChain()
    before = blocks(writer, earlier)
    carried = writer.carried()
    *block, seal = blocks(writer, [2])
    assert part in seal
    text = b"".join([*before, *block, seal.replace(part, other)])
    assert reader.close_blocks(text, 0, len(text))[:3] == (
        len(b"".join(before)),
        len(before),
        len(earlier),
    )
    assert (reader.count, reader.carried()) == (0, carried)
    for line in block:
        reader.add(line)
    assert reader.seal(4, 7)[1] == seal


@pytest.mark.usefixtures("way")
def test_block_that_is_too_long_is_not_closed(monkeypatch):
    monkeypatch.setattr(seals, "SEAL_EVERY", 2)
    writer, reader = SealChain(), SealChain()
    text = b"".join(blocks(writer, [2, 3]))
    assert reader.close_blocks(text, 0, len(text))[1:4] == (3, 1, 3)


def test_search_outside_of_the_lines_is_an_error():
    search = pytest.importorskip("recloser.log.seal_search", reason="pip had no C compiler")
    for start, end in ((-1, 1), (0, 2), (1, 0)):
        with pytest.raises(ValueError, match="are outside of 1 bytes"):
            search.lines_before(b"x", b"\n", start, end)
