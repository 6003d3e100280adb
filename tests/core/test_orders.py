"""The orders of calls are right, and the same compiled and interpreted."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from recloser.core import orders
from recloser.core.limits import MAX_AT
from recloser.process.from_sources import from_source
from recloser.simulate.call_table import FAILED, IGNORED, SUCCEEDED, UNKNOWN

CODES = st.sampled_from([SUCCEEDED, FAILED, IGNORED, UNKNOWN])
ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([0, 0, 1, 2, 5, 30]), CODES), max_size=25
).map(lambda rows: sorted(rows, key=lambda row: row[0]))
INTERPRETED = from_source("recloser.core.orders")


def columns_of(rows):
    starts = array("q", (start for start, _, _ in rows))
    ends = array("q", (start + took for start, took, _ in rows))
    return starts, ends, bytes(code for _, _, code in rows)


def both(name, *arguments):
    """The result of a function, which must be the same compiled and interpreted."""
    found, again = (getattr(module, name)(*arguments) for module in (orders, INTERPRETED))
    assert found == again, name
    return list(found)


@given(ROWS)
def test_orders_of_starts_and_ends(rows):
    starts, ends, outcomes = columns_of(rows)
    size = len(rows)
    by_start = both("order_of", starts[::-1])
    assert by_start == sorted(range(size), key=starts[::-1].__getitem__)
    by_end = both("order_of_ends", starts, ends)
    assert by_end == sorted(range(size), key=lambda n: (ends[n], ends[n] == starts[n]))
    order = array("q", by_end)
    assert both("reordered", ends, order) == sorted(ends)
    assert both("reordered_codes", outcomes, order) == [outcomes[n] for n in by_end]
    end_index_of = both("inverse_order", order)
    assert [end_index_of[number] for number in by_end] == list(range(size))
    assert both("running_maximum", array("q", end_index_of)) == [
        max(end_index_of[: n + 1]) for n in range(size)
    ]


def test_ends_at_the_last_moments_that_a_log_can_have_are_put_in_order():
    starts = array("q", [MAX_AT, MAX_AT - 1, 0, MAX_AT])
    ends = array("q", [MAX_AT, MAX_AT, MAX_AT - 2, MAX_AT])
    assert both("order_of_ends", starts, ends) == [2, 1, 0, 3]


@given(ROWS)
def test_calls_that_ended_before_each_start_and_calls_in_flight(rows):
    starts, ends, _ = columns_of(rows)
    by_end = orders.order_of_ends(starts, ends)
    end_index_of = orders.inverse_order(by_end)
    ended = both("ended_before", starts, ends, by_end)
    for number, start in enumerate(starts):
        before = {
            n for n in range(number) if ends[n] <= start and (starts[n] < ends[n] or n < number)
        }
        assert ended[number] == len(before)
        in_flight = sorted(end_index_of[n] for n in range(number) if n not in before)
        assert (
            both("ends_in_flight", end_index_of, number, ended[number], len(in_flight)) == in_flight
        )


@given(ROWS, st.integers(0, 20))
def test_order_restricted_to_some_calls_counts_them_anew(rows, first):
    starts, ends, _ = columns_of(rows)
    order = orders.order_of_ends(starts, ends)
    numbers = array("q", range(min(first, len(rows)), len(rows)))
    wanted = [number - numbers[0] for number in order if number in numbers] if numbers else []
    assert both("restricted_order", order, numbers) == wanted


@given(st.lists(CODES, max_size=40).map(bytes))
def test_outcomes_are_found_and_counted_by_code(outcomes):
    known = [index for index, code in enumerate(outcomes) if code != UNKNOWN]
    assert both("indexes_of", outcomes, SUCCEEDED, IGNORED) == known
    for code in (SUCCEEDED, FAILED, UNKNOWN):
        counts = both("count_before", outcomes, code)
        assert counts == [outcomes[:index].count(code) for index in range(len(outcomes) + 1)]


def test_index_range_includes_first_and_excludes_stop():
    assert both("index_range", 3, 7) == [3, 4, 5, 6]
    assert both("index_range", 3, 3) == []


@given(st.lists(st.integers(0, 50), min_size=60, max_size=300).map(lambda keys: array("q", keys)))
def test_sorting_more_than_one_run_is_stable(keys):
    assert both("order_of", keys) == sorted(range(len(keys)), key=keys.__getitem__)


def test_sorting_merges_two_long_interleaved_halves():
    keys = array("q", [*range(0, 3000, 2), *range(1, 3000, 2)])
    assert both("order_of", keys) == sorted(range(3000), key=keys.__getitem__)
