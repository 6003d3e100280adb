"""Seals chain over every byte, in a way that other tools can check."""

import hashlib

from recloser.events import GENESIS, Reset
from recloser.log.codec import decode, encode
from recloser.log.seals import SealChain, is_seal

LINES = [encode(Reset(seq, 0, "b")) for seq in (1, 2, 3)]


def test_the_digest_is_the_one_that_the_specification_gives():
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


def test_a_segment_that_ends_with_a_seal_carries_its_digest():
    chain = SealChain()
    assert chain.carried() == GENESIS
    chain.add(LINES[0])
    sealed, _ = chain.seal(2, 0)
    assert chain.carried() == sealed.digest
    assert chain.count == 0


def test_a_segment_that_ends_without_a_seal_carries_the_digest_of_what_it_left():
    chain = SealChain()
    chain.add(LINES[0])
    sealed, _ = chain.seal(2, 0)
    chain.add(LINES[1])
    expected = hashlib.sha256(sealed.digest.encode() + LINES[1]).hexdigest()
    assert chain.carried() == expected
    assert chain.count == 1
