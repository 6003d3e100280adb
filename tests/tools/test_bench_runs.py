"""Several runs are published as the median of each figure and of each ratio."""

import json
import subprocess
import sys

import pytest

from bench.results import Group, Result, Series
from bench.runs import DifferentRunsError, load, repeated, save, together
from conftest import ROOT

MACHINE = {
    "date": "2026-01-01",
    "python": "CPython 3",
    "system": "s",
    "processor": "p",
    "processors": "2",
    "compiled": "nothing compiled",
    "load": "0.10",
}


def run(*figures, machine=MACHINE, versions=(), **counted):
    floor = Series("floor", (100.0, 100.0), (50.0, 50.0))
    ours = Series("ours", figures, figures, counted)
    group = Group("closed", "Closed path", "ns a call", "floor", (floor, ours))
    return Result(machine, dict(versions), {}, (group,))


RUNS = [run(10.0, 60.0), run(70.0, 90.0), run(40.0, 80.0)]
"""The medians of the runs are 35, 80 and 60; the median over all six rounds would be 65."""


def test_figure_is_the_median_over_the_runs():
    result = together(RUNS)
    ours = result.groups[0]["ours"]
    assert ours.median == 60
    assert ours.cpu_median == 60
    assert ours.spread == (35, 80)
    assert result.runs == 3


def test_ratio_is_the_median_over_the_runs():
    group = together(RUNS).groups[0]
    assert group["ours"].ratio_to(group["floor"]) == pytest.approx(0.6)
    assert group["ours"].cpu_ratio_to(group["floor"]) == pytest.approx(1.2)
    assert group["floor"].cpu_ratio_to(group["floor"]) == 1


def test_count_of_one_run_does_not_decide_the_median():
    once = together([run(1.0), run(1.0, share_lost=0.5), run(1.0)]).groups[0]["ours"]
    assert once.figures == {"share_lost": 0}
    twice = together([run(1.0, share_lost=0.25), run(1.0, share_lost=0.5), run(1.0)])
    assert twice.groups[0]["ours"].figures == {"share_lost": 0.25}


def test_json_has_the_rule_and_the_figures_of_each_run():
    data = together([run(10.0), run(30.0), run(20.0)]).as_data()
    assert data["runs"] == 3
    assert "3 whole runs" in data["rule"]
    assert data["groups"][0]["subjects"][1]["runs"] == [10, 30, 20]
    assert "not what is published" in run(1.0).as_data()["rule"]


@pytest.mark.parametrize(
    "other",
    [
        run(1.0, machine=MACHINE | {"processor": "q"}),
        run(1.0, machine=MACHINE | {"compiled": "compiled: core.kernel"}),
        run(1.0, versions={"attrs": "1"}),
        Result(MACHINE, {}, {}, ()),
    ],
)
def test_runs_with_different_measurements_are_refused(other):
    with pytest.raises(DifferentRunsError, match="^the runs "):
        together([run(1.0), other])


def test_saved_run_is_read_back_unchanged(tmp_path):
    saved = run(1.0, 2.5, share_lost=0.5)
    save(saved, tmp_path / "run")
    assert load(tmp_path / "run") == saved


def test_three_runs_are_made_one_after_another(tmp_path):
    asked = ["--smoke", "--runs=3", "--only=replay", f"--json={tmp_path / 'json'}"]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "bench", *asked],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    assert [line for line in done.stderr.splitlines() if line.startswith("run ")] == [
        "run 1 of 3",
        "run 2 of 3",
        "run 3 of 3",
    ]
    (group,) = json.loads((tmp_path / "json").read_text())["groups"]
    for subject in group["subjects"]:
        assert sorted(subject["runs"])[1] == subject["median"]
    assert "3 whole runs" in done.stdout.replace("\n", " ")


def test_failed_run_publishes_nothing(capfd):
    with pytest.raises(subprocess.CalledProcessError):
        repeated(3, ["--only=nothing"])
    assert "run 2 of 3" not in capfd.readouterr().err
