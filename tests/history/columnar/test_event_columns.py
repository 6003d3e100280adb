"""The columns of one breaker, for the kernel, and the events that they hold."""

import numpy as np
import pytest

from recloser.core import kernel
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.history.columnar.event_columns import OTHER
from recloser.history.columnar.exported_log import columns_in
from recloser.log.arrow_table import table_of
from recloser.log.codec import full

EVENTS = [
    CallSucceeded(1, 10, "b", 3, 5, 0, 9),
    CallFailed(2, 20, "b", 3, 6, 0, "TimeoutError"),
    CallIgnored(3, 30, "b", 3, 7, 2, "ValueError"),
    CallRejected(4, 40, "b", Reason.COOLDOWN_ACTIVE, None, 8),
    ProbeAdmitted(5, 50, "b", 4, 1),
    Reset(6, 60, "b", "me", "because"),
]


@pytest.fixture
def rows():
    return columns_in(table_of("b", EVENTS), "b")


def test_rows_have_the_kinds_of_the_kernel(rows):
    assert rows.kinds.tolist() == [
        kernel.SUCCEEDED,
        kernel.FAILED,
        kernel.IGNORED,
        kernel.REJECTED,
        kernel.ADMITTED,
        OTHER,
    ]


def test_rows_return_their_events_without_error_names(rows):
    plain = [
        *EVENTS[:1],
        CallFailed(2, 20, "b", 3, 6, 0),
        CallIgnored(3, 30, "b", 3, 7, 2),
        *EVENTS[3:],
    ]
    assert [full(rows.event(row)) for row in range(len(rows))] == plain


def test_kernel_shares_the_memory_of_the_columns(rows):
    columns = rows.columns
    assert list(columns.seq) == [1, 2, 3, 4, 5, 6]
    assert list(columns.at) == [10, 20, 30, 40, 50, 60]
    assert list(columns.took) == [5, 6, 7, 0, 0, 0]
    assert list(columns.epoch) == [3, 3, 3, 3, 4, 4]
    assert list(columns.probe) == [0, 0, 2, 0, 1, 0]
    assert list(columns.count) == [9, 1, 1, 8, 1, 1]
    assert np.shares_memory(np.asarray(columns.seq), rows.seqs)
    assert type(columns.at[0]) is int


def test_calls_without_a_duration_column_took_no_time():
    table = table_of("b", EVENTS).drop_columns(["took"])
    assert columns_in(table, "b").tooks.tolist() == [0] * len(EVENTS)
