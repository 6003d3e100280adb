"""The files that people import first give the calls counted by hand, and the page shows them."""

import pytest

from import_rows import ROWS
from import_table import BEGIN, END, PAGE, imported, table


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_first_command_reads_the_expected_calls_or_names_what_is_missing(tmp_path, row):
    found = imported(row, tmp_path)
    if row.says is not None:
        assert found.said.startswith(row.says)
    else:
        assert (found.said, found.counts) == ("", (row.succeeded, row.failed, row.ignored))


def test_page_has_the_results_of_the_first_commands():
    assert f"{BEGIN}{table()}{END}" in PAGE.read_text(encoding="utf-8")
