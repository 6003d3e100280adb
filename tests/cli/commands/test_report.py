"""``recloser report`` writes a page, and overwrites nothing without ``--force``."""

import json
import sys

import pytest

from conftest import ROOT
from recloser.cli import status_of

LOG = str(ROOT / "fixtures" / "redis-killed")


def run(capsys, *arguments):
    status = status_of(["report", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_report_writes_a_page_and_prints_its_figures(capsys, tmp_path):
    page = tmp_path / "page.html"
    status, out, err = run(capsys, LOG, "-o", page)
    assert (status, err) == (0, "")
    assert out.startswith(f"{page}: 397 events of 1 breaker, 1 trip, ")
    assert page.read_text().startswith("<!doctype html>")


def test_report_replaces_a_page_only_with_force(capsys, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    status, _, err = run(capsys, LOG, "-o", page)
    assert status == 2
    assert "exists already and is left as it is" in err
    assert page.read_text() == "mine"
    status, out, _ = run(capsys, LOG, "-o", page, "--force", "--json")
    assert json.loads(out) == {
        "schema": "recloser.report/1", "page": str(page), "breakers": 1, "trips": 1, "events": 397,
    }  # fmt: skip
    assert page.stat().st_size > 1_000_000


def test_report_writes_to_standard_output(capsys):
    status, out, err = run(capsys, LOG, "-o", "-")
    assert (status, err) == (0, "")
    assert out.startswith("<!doctype html>")


def test_report_without_the_plotting_library_names_the_extra(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    status, out, err = run(capsys, LOG, "-o", tmp_path / "page.html")
    assert (status, out) == (2, "")
    assert err == (
        "recloser: a report needs plotly, which is not installed: pip install 'recloser[report]'\n"
    )
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("arguments", [[LOG], ["absent", "-o", "x.html"]])
def test_bad_usage_and_bad_input_have_status_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err
