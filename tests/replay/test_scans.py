"""The scans come to the same whether numpy does them or not."""

import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed import KNOWN, rows_with

from recloser.replay.calls import FAILED, IGNORED, SUCCEEDED, UNKNOWN
from recloser.replay.scans import plain, vectorised

ROWS = rows_with([*KNOWN, UNKNOWN])


def columns_of(rows):
    starts = array("q", (start for start, _, _ in rows))
    tooks = array("q", (took for _, took, _ in rows))
    ends = array("q", (start + took for start, took, _ in rows))
    return starts, ends, tooks, bytes(code for _, _, code in rows)


def both(name, *arguments):
    """What either makes of the arguments, which must be the same; plain numbers, whoever did it."""
    found = [getattr(module, name)(*arguments) for module in (plain, vectorised)]
    as_lists = [list(column) for column in found]
    assert as_lists[0] == as_lists[1], name
    assert all(type(value) is int for value in as_lists[1])
    return found[0]


@given(ROWS)
def test_orders_of_starts_and_ends(rows):
    starts, ends, tooks, outcomes = columns_of(rows)
    both("order_of_starts", starts[::-1])
    by_end = both("order_of_ends", starts, ends)
    place = both("inverse", by_end)
    both("taken", ends, by_end)
    both("taken", tooks, by_end)
    both("codes_taken", outcomes, by_end)
    ended = both("ended_before", starts, ends, by_end)
    both("highest_so_far", place)
    both("kept", by_end, range(len(rows) // 3, len(rows)))
    for number in range(len(rows)):
        both("places_from", place, number, ended[number])


@given(st.lists(st.sampled_from([SUCCEEDED, FAILED, IGNORED, UNKNOWN]), max_size=40).map(bytes))
def test_outcomes_counted(outcomes):
    for codes in (bytes((FAILED,)), bytes((SUCCEEDED, UNKNOWN))):
        both("places_of", outcomes, codes)
        both("count_before", outcomes, codes)


@pytest.mark.parametrize("installed", [True, False])
def test_without_numpy_the_plain_ones_are_taken(installed):
    code = (
        f"import sys; {installed} or sys.modules.update(numpy=None)\n"
        "from recloser.replay import scans\n"
        "print(scans.VECTORISED, scans.taken.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    module = "vectorised" if installed else "plain"
    assert done.stdout.split() == [str(installed), f"recloser.replay.scans.{module}"]
