"""What is found in the columns of one breaker, a part at a time."""

import numpy as np
import pytest
from attrs import evolve

from recloser.columns import rows
from recloser.columns.reading import rows_in
from recloser.columns.rows import Cursor, where
from recloser.events import CallFailed, CallIgnored, CallSucceeded
from recloser.log.columns import table_of

KINDS = (CallSucceeded, CallFailed, CallIgnored)


def some_rows(count):
    events = [KINDS[seq % 3](seq, seq, "b", seq // 7, seq % 5) for seq in range(1, count + 1)]
    return rows_in(table_of("b", events), "b")


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
def test_rows_are_found_wherever_a_part_ends(count, monkeypatch):
    monkeypatch.setattr(rows, "_AT_ONCE", 8)
    flags = np.arange(count) % 3 == 1
    assert where(count, lambda part: flags[part]).tolist() == list(range(1, count, 3))


def test_an_epoch_that_begins_with_a_part_is_a_break(monkeypatch):
    monkeypatch.setattr(rows, "_AT_ONCE", 8)
    found = some_rows(40)
    assert found.breaks.tolist() == [6, 13, 20, 27, 34]
    assert found.failures.tolist() == list(range(0, 40, 3))


def test_slow_calls_are_those_that_count(monkeypatch):
    monkeypatch.setattr(rows, "_AT_ONCE", 8)
    found = evolve(some_rows(40), tooks=np.arange(1, 41) % 5)
    slow = [seq - 1 for seq in range(1, 41) if seq % 5 > 3 and KINDS[seq % 3] is not CallIgnored]
    assert found.slow(3).tolist() == slow


def test_a_cursor_hands_out_the_event_of_any_row_in_any_order():
    found = some_rows(200)
    cursor, expected = Cursor(found), found.events(0, 200)
    order = [*range(150), 3, 4, 5, 199, 0, *range(20, 200), 7]
    assert [cursor.event(row) for row in order] == [expected[row] for row in order]


def test_a_cursor_reads_many_rows_at_once_where_it_stays(monkeypatch):
    found, read = some_rows(200), []
    of_all = rows.Rows.events
    monkeypatch.setattr(
        rows.Rows,
        "events",
        lambda self, start, stop: read.append((start, stop)) or of_all(self, start, stop),
    )
    cursor = Cursor(found)
    for row in range(100, 200):
        cursor.event(row)
    assert read == [(106, 170), (170, 200)]
