"""A segment keeps room for the lines that wait, and no more than a while longer than it needs it."""

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


def test_memory_of_a_burst_is_given_back_once_it_is_over(tmp_path):
    segment = Segment(tmp_path / "a.jsonl", SealChain(), 0)
    assert written(segment, 5000) > 4 * FEW
    assert written(segment, 1) < FEW
    assert written(segment, 5000, 300, 2, 1) < FEW
    segment.close()
    assert (tmp_path / "a.jsonl").read_bytes() == LINE * 10304


def test_memory_is_kept_while_as_much_is_written_each_time(tmp_path):
    segment = Segment(tmp_path / "a.jsonl", SealChain(), 0)
    first = written(segment, 2000)
    assert written(segment, 1500, 900, 1700) == first
    segment.close()
