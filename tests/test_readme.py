"""Length, links and figures of the README; ``tests/docs/test_pages.py`` runs its commands."""

import re

import pytest

from conftest import ROOT
from docs.pages import FOLDER

README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (FOLDER / "performance.md").read_text(encoding="utf-8")


def test_readme_is_at_most_250_lines():
    assert len(README.splitlines()) <= 250


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/recloser demo",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest",
    ],
)
def test_set_up_commands_equal_those_of_the_continuous_integration(command):
    assert f"\n    {command}\n" in README
    assert f"\n{command} || exit 1\n" in (ROOT / ".ci" / "run").read_text()


def test_every_page_is_linked():
    for page in FOLDER.glob("*.md"):
        assert f"(src/recloser/docs/{page.name})" in README, page.name


def closed_path_of(name):
    """Nanoseconds per call through a closed breaker, from the published table."""
    row = re.search(
        rf"^\| (?:\*\*)?{re.escape(name)}(?:\*\*)? \| ([\d,.]+) \|", PERFORMANCE, re.MULTILINE
    )
    return float(row[1].replace(",", ""))


def test_ratios_of_the_closed_path_are_those_of_the_published_table():
    without_log, on_disk = closed_path_of("recloser, no log"), closed_path_of("recloser, EventLog")
    shown = re.search(
        r"takes ([\d.]+) of the time with (circuitbreaker \S+) and\s+([\d.]+) of that with (pybreaker \S+);"
        r"\s+recorded in a log on disk, ([\d.]+) and ([\d.]+)\.",
        README,
    )
    peers = [closed_path_of(shown[2]), closed_path_of(shown[4])]
    figures = [
        without_log / peers[0],
        without_log / peers[1],
        on_disk / peers[0],
        on_disk / peers[1],
    ]
    assert [f"{figure:.2f}" for figure in figures] == [shown[n] for n in (1, 3, 5, 6)]


def test_rate_of_a_replay_is_that_of_the_published_list():
    shown = re.search(r"A replay reads ([\d.]+) million events per\s+second from JSON", README)
    assert f"- replaying JSON lines: {shown[1]} million events/s" in PERFORMANCE


def test_map_of_the_source_is_complete():
    _, _, source_map = README.partition("\n    src/recloser/\n")
    rows = re.findall(r"^      (\S+(?:, \S+)*)  ", source_map, re.MULTILINE)
    listed = set(re.findall(r"(\w+(?:\.py|/))", "".join(rows)))
    source = ROOT / "src" / "recloser"
    entries = {
        path.name + "/" * path.is_dir()
        for path in source.iterdir()
        if path.name[0] != "_" and (path.is_dir() or path.suffix == ".py")
    }
    assert listed == entries
