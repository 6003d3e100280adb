"""A segment reuses its buffer, and frees it soon after a burst."""

import sys

from recloser.log.seals import SealChain
from recloser.log.segment import Segment

LINE = b"x" * 999 + b"\n"
FEW = 1 << 20


def written(segment, *counts):
    for count in counts:
        segment.add([LINE * count], seq=1, count=count, callers=count)
        segment.write()
    return sys.getsizeof(segment._pending)


def test_buffer_shrinks_after_a_burst(tmp_path):
    segment = Segment(tmp_path / "a.jsonl", SealChain(), 0)
    assert written(segment, 5000) > 4 * FEW
    assert written(segment, 1) < FEW
    assert written(segment, 5000, 300, 2, 1) < FEW
    segment.close()
    assert (tmp_path / "a.jsonl").read_bytes() == LINE * 10304


def test_buffer_keeps_its_size_while_writes_are_as_large(tmp_path):
    segment = Segment(tmp_path / "a.jsonl", SealChain(), 0)
    first = written(segment, 2000)
    assert written(segment, 1500, 900, 1700) == first
    segment.close()
