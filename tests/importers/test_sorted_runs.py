"""Items are sorted without all of them being in memory."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from recloser.importers.sorted_runs import SortedRuns


class Item(msgspec.Struct, array_like=True):
    place: int
    number: int


@given(st.lists(st.integers(0, 50)), st.integers(1, 10))
def test_items_are_sorted_and_equal_ones_stay_in_order(places, run_length):
    with SortedRuns(Item, "place", run_length) as runs:
        for number, place in enumerate(places):
            runs.add(Item(place, number))
        got = [(item.place, item.number) for item in runs]
    assert got == sorted((place, number) for number, place in enumerate(places))


def test_many_runs_are_merged_into_few():
    with SortedRuns(Item, "place", 2) as runs:
        for number in range(1000):
            runs.add(Item(number * 37 % 1000, number))
            assert len(runs._runs) <= 64
        assert [item.place for item in runs] == list(range(1000))
