"""What people try first is read as it was counted by hand, and the page has what comes of it."""

import pytest

from import_rows import ROWS
from import_table import BEGIN, END, PAGE, imported, table


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_first_command_reads_what_was_counted_or_says_what_is_missing(tmp_path, row):
    found = imported(row, tmp_path)
    if row.says is not None:
        assert found.said.startswith(row.says)
    else:
        assert (found.said, found.counts) == ("", (row.succeeded, row.failed, row.ignored))


def test_the_page_has_what_comes_of_it():
    assert f"{BEGIN}{table()}{END}" in PAGE.read_text(encoding="utf-8")
