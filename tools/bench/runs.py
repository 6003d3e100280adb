"""Several runs of the benchmark, of which the median of each figure is published.

Each run is a process of its own. The layout of memory and the hash seed are the same in all rounds of
a process, and can change a figure by more than the rounds differ.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from attrs import evolve

from bench.results import Group, Repeated, Result

PUBLISHED: Final = 3
"""The number of runs that a published table is computed from."""

_BENCH: Final = Path(__file__).parent
_SAME: Final = ("python", "system", "processor", "processors", "compiled")


class DifferentRunsError(Exception):
    """The runs can't be combined, because they differ in machine, build, versions or subjects."""


def repeated(number: int, arguments: Sequence[str]) -> Result:
    """Make several runs, one after another, and combine them.

    Args:
        number: The number of runs.
        arguments: The arguments of each run.

    Raises:
        subprocess.CalledProcessError: A run failed.
        DifferentRunsError: They did not measure the same.
    """
    results = []
    with tempfile.TemporaryDirectory(prefix="recloser-bench-") as folder:
        for turn in range(1, number + 1):
            print(f"run {turn} of {number}", file=sys.stderr, flush=True)
            raw = Path(folder, f"{turn}.json")
            command = [sys.executable, str(_BENCH), *arguments, "--raw", str(raw)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            results.append(load(raw))
    return together(results)


def save(result: Result, path: Path) -> None:
    """Write a run with every sample."""
    path.write_bytes(msgspec.json.encode(result))


def load(path: Path) -> Result:
    """Read a saved run."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def together(results: Sequence[Result]) -> Result:
    """Combine runs: the median of each figure.

    Raises:
        DifferentRunsError: They are of different machines, versions or subjects.
    """
    first = results[0]
    for other in results[1:]:
        if any(first.machine[name] != other.machine[name] for name in _SAME):
            raise DifferentRunsError("the runs are not of one machine and build")
        if first.versions != other.versions or _subjects(first) != _subjects(other):
            raise DifferentRunsError("the runs did not measure the same")
    groups = [_group(of_all) for of_all in zip(*(run.groups for run in results), strict=True)]
    loads = ", ".join(run.machine["load"] for run in results)
    machine = {**first.machine, "load": loads}
    return evolve(first, machine=machine, groups=tuple(groups), runs=len(results))


def _subjects(result: Result) -> list[tuple[str, list[str]]]:
    return [(group.key, [series.name for series in group.series]) for group in result.groups]


def _group(of_all: Sequence[Group]) -> Group:
    series = zip(*(group.series for group in of_all), strict=True)
    return evolve(of_all[0], series=tuple(Repeated.of(runs) for runs in series))
