"""Publishing writes the table of a run into the page, and keeps the rest of the page."""

import pytest

from bench import columns, hostile, importing, ours, published, tuning
from bench.peers import PEERS
from bench.results import Group, Result, Series
from bench.rules import RULES
from bench.runs import together
from conftest import ROOT

RATES = {columns.FOLD: 1, columns.COLUMNS: 300, columns.PARQUET: 30, columns.DECODE: 40}
EDGES = {columns.WHOLE: 10, columns.ROWS: 2, columns.EDGES: 7, columns.SUM: 9}


def result_of(*groups, missing=None):
    machine = {
        "load": "0.10",
        "system": "s",
        "date": "2026-01-01",
        "processors": "2",
        "processor": "p",
        "python": "CPython 3",
        "compiled": "nothing compiled",
    }
    return Result(machine, {"circuitbreaker": "2.1.3"}, missing or {}, groups)


def folds():
    rates = tuple(Series(name, (rate * 1e6,)) for name, rate in RATES.items())
    edges = tuple(Series(name, (ms,), figures={columns.EACH: 2.5}) for name, ms in EDGES.items())
    for kind in columns.KINDS:
        for share in columns.SHARES:
            key = columns.key_of(kind, share)
            yield Group(key, "Fold", "events/s", columns.DECODE, rates)
            key = columns.key_of(kind, share, "edges")
            if share != columns.SHARES[0]:
                yield Group(key, "Edges", "ms", columns.WHOLE, edges)


def test_page_has_what_was_measured_and_keeps_the_rest(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{published.BEGIN}\nwhat stood there\n{published.END}\nafter\n")
    floor, peer = Series("floor", (500,), (500,)), Series("circuitbreaker", (550,), (550,))
    disk = Series(ours.DISK, (800,), (600,))
    closed = Group("closed", "Closed path", "ns a call", "floor", (floor, disk, peer))
    published.rewrite(path, result_of(closed, *folds()))
    text = path.read_text()
    assert text.startswith(f"before\n{published.BEGIN}\n")
    assert text.endswith(f"{published.END}\nafter\n")
    assert "what stood there" not in text
    assert f"| **{ours.DISK}** | 800 |" in text
    assert "| circuitbreaker 2.1.3 | 550 |" in text
    assert "1.60 of the floor" in text
    assert "1.20 of the calling thread's" in text
    assert (
        "\n| count window | 300 / 300 / 300 / 300 | 30.0 / 30.0 / 30.0 / 30.0 | 1.0 / 1.0 / 1.0 / 1.0 "
        "| 0.75 / 0.75 / 0.75 / 0.75 | 2.5 / 2.5 / 2.5 | 0.90 / 0.90 / 0.90 |\n" in text
    )


def test_page_states_the_rule_of_publication():
    assert "3 whole runs, one after another" in published.block(together([result_of()] * 3))


def test_table_of_failing_calls_has_a_row_per_library_and_a_column_per_rule():
    floor, disk = Series("floor", (500,)), Series(ours.DISK, (800,))
    peer = Series("circuitbreaker", (600,))
    groups = [
        Group(
            hostile.key_of(rule, share),
            "",
            "ns a call",
            "floor",
            (floor, disk, peer) if rule.kind == "consecutive failures" else (floor, disk),
        )
        for rule in RULES
        for share in hostile.SHARES
    ]
    lines = published.block(result_of(*groups)).splitlines()
    (head,) = [line for line in lines if line.startswith("| of the floor, 3 / 30 / 60 % fail |")]
    assert "| count window, borne | count window, trips |" in head
    assert f"| **{ours.DISK}** |{' 1.60 / 1.60 / 1.60 |' * 6}" in lines
    assert f"| circuitbreaker |{' 1.20 / 1.20 / 1.20 |' * 2}{'  |' * 4}" in lines


def test_page_has_the_rates_of_tuning_and_importing():
    replayed, tuned = Series(tuning.REPLAY, (5,)), Series(tuning.TUNE, (2500,))
    key = tuning.key_of(tuning.KINDS[0], tuning.SHARES[0])
    tune = Group(key, "", "ms", tuning.REPLAY, (replayed, tuned))
    kind = next(iter(importing.KINDS))
    imported = Series(importing.name_of(kind), (2e6,))
    imports = Group("importing", "", "lines/s", importing.name_of(kind), (imported,))
    text = published.block(result_of(tune, imports))
    assert "1,000 settings on a million calls, 0.01% fail: 2.50 s by failures in a row" in text
    assert "2.00 of combined" in text


def test_page_names_what_was_not_measured_with_the_reason():
    text = published.block(result_of(missing={"hyx": "it is not installed"}))
    assert "- not measured: hyx: it is not installed\n" in text


def test_page_without_markers_is_not_changed(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"{published.END}\n{published.BEGIN}\n")
    with pytest.raises(published.NoMarkersError, match="must be there"):
        published.rewrite(path, result_of())
    assert path.read_text() == f"{published.END}\n{published.BEGIN}\n"


def test_published_table_has_all_peers_or_says_why_not():
    page = ROOT / "src" / "recloser" / "docs" / "performance.md"
    _, _, rest = page.read_text().partition(f"{published.BEGIN}\n")
    table, end, _ = rest.partition(published.END)
    assert end
    assert table.startswith(f"| {' | '.join(published.HEADS)} |\n")
    for peer in PEERS:
        assert f"\n| {peer.name} " in table or f"\n- not measured: {peer.name}: " in table
