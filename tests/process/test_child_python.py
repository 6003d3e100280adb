"""Child processes of Python run no module of the current folder."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.process.child_python import command, environment, safe_environment, safe_path

SOURCES = Path(__file__).parents[2] / "src"
CUSTOMIZE = ("sitecustomize", "usercustomize")
PLANTED = """
with open({marker!r}, "a") as marker:
    marker.write(__name__ + "\\n")
raise ImportError("a planted module was run")
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A log of several segments, the same exported, and the script that pip would install."""
    folder = tmp_path_factory.mktemp("logs")
    clock = ManualClock()
    with EventLog(
        folder / "log", clock=clock, durability="memory", segment_bytes=20_000, host=""
    ) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(), log=log)
        for call in range(2000):
            clock.advance(ns=1_000_000_000)
            permit = breaker.before_call().permit
            if permit is not None and call % 100 < 20:
                breaker.after_failure(permit, "TimeoutError")
            elif permit is not None:
                breaker.after_success(permit)
            if call % 50 == 0:
                log.flush()
    write_parquet(LogReader(folder / "log"), folder / "log.parquet")
    (folder / "recloser").write_text(
        "from recloser.cli import run\nif __name__ == '__main__':\n    run()\n"
    )
    (folder / "calls.csv").write_text(
        "start_s,outcome\n" + "".join(f"{n},{'fail' if n % 50 < 9 else 'ok'}\n" for n in range(500))
    )
    return folder


@pytest.fixture
def hostile(tmp_path):
    """A current folder with a module for every name that could be imported."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    marker = tmp_path / "run"
    marker.touch()
    code = PLANTED.format(marker=str(marker))
    for name in {*sys.stdlib_module_names, *packages_distributions(), *CUSTOMIZE} - {"recloser"}:
        (folder / f"{name}.py").write_text(code)
    (folder / "recloser").mkdir()
    (folder / "recloser" / "__init__.py").write_text(code)
    return folder


def planted_that_ran(hostile):
    return (hostile.parent / "run").read_text().split()


def run_in(folder, *arguments, **variables):
    """Run Python as a shell in that folder would."""
    path = [str(SOURCES), variables.pop("PYTHONPATH", "")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, path)), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "--prove", "log"),
        ("replay", "--jobs", "2", "log"),
        ("replay", "--engine", "dask", "--workers", "1", "log.parquet"),
        ("demo",),
    ],
    ids=["prove", "jobs", "dask", "demo"],
)
def test_commands_that_start_processes_run_no_planted_module(logs, hostile, arguments):
    paths = [logs / word if word.startswith("log") else word for word in arguments]
    done = run_in(hostile, logs / "recloser", *paths)
    assert planted_that_ran(hostile) == []
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_tune_runs_no_planted_module(logs, hostile):
    """Its processes are spawned, as on platforms without fork."""
    imported = ("import", "csv", logs / "calls.csv", "-o", hostile / "calls", "--breaker", "b")
    columns = ("--start", "start_s", "--outcome", "outcome", "--failure", "fail")
    assert run_in(hostile, logs / "recloser", *imported, *columns).returncode == 0
    spawning = logs / "spawning"
    spawning.write_text(
        "import sys\n"
        "from recloser.cli import run\n"
        "from recloser.whatif import settings_search\n"
        "if __name__ == '__main__':\n"
        "    sys.platform = 'darwin'\n"
        "    settings_search._SMALL = 0\n"
        "    run()\n"
    )
    done = run_in(hostile, spawning, "tune", hostile / "calls")
    assert (planted_that_ran(hostile), done.returncode) == ([], 0), done.stderr


def test_another_python_finds_modules_where_this_one_does(tmp_path):
    """The child has the import path of its parent, including later changes."""
    (tmp_path / "own.py").write_text("def main():\n    import sys; print(sys.argv[1:])\n")
    code = (
        "import subprocess, sys; from recloser.process.child_python import command, environment;"
        f"sys.path.append({str(tmp_path)!r});"
        "subprocess.run(command('own', 'a', 'b'), env=environment(), check=True)"
    )
    done = run_in("/", "-c", code)
    assert done.stdout == "['a', 'b']\n", done.stderr


@pytest.mark.parametrize("entry", ["", ".", "lib", os.curdir + os.sep, "{cwd}", "{link}"])
def test_current_folder_is_left_out_however_it_is_spelled(monkeypatch, tmp_path, entry):
    (tmp_path / "lib").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    entry = entry.format(cwd=tmp_path, link=tmp_path / "link")
    monkeypatch.setattr(sys, "path", [entry, "/usr/lib"])
    assert safe_path() == ["/usr/lib", str(SOURCES)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((entry, "/usr/lib")))
    assert environment()["PYTHONPATH"] == "/usr/lib"
    assert environment()["PYTHONSAFEPATH"] == "1"


def test_folder_that_this_package_is_in_is_kept(monkeypatch):
    monkeypatch.chdir(SOURCES)
    monkeypatch.setattr(sys, "path", ["", str(SOURCES), "/usr/lib"])
    assert safe_path() == [str(SOURCES), "/usr/lib"]


def test_removed_current_folder_is_no_error(monkeypatch, tmp_path):
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    monkeypatch.setattr(sys, "path", [str(removed), "/usr/lib"])
    assert "/usr/lib" in safe_path()


def test_environment_is_put_back(monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", "")
    with safe_environment():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert "PYTHONPATH" not in os.environ
    assert "PYTHONSAFEPATH" not in os.environ
    assert os.environ["PYTHONPATH"] == ""


def test_command_names_no_module_by_the_current_folder():
    assert command("recloser.proof.subprocess_run")[1:3] == ["-P", "-c"]


def test_module_with_safe_path_runs_the_command(hostile):
    """With ``-P``, Python ignores even a module ``recloser`` in the current folder."""
    done = run_in(hostile, "-P", "-m", "recloser", "--version")
    assert (planted_that_ran(hostile), done.returncode) == ([], 0)
    assert done.stdout.startswith("recloser, version ")


def test_module_takes_no_library_from_the_current_folder_without_safe_path(tmp_path, hostile):
    only = tmp_path / "only"
    only.mkdir()
    for name in ("click", "msgspec", "attrs", "rich", "transitions"):
        (only / f"{name}.py").write_text((hostile / f"{name}.py").read_text())
    done = run_in(only, "-m", "recloser", "machine", "--json")
    assert (planted_that_ran(hostile), done.returncode) == ([], 0), done.stderr


def test_module_started_in_its_own_folder_starts_processes_too(logs):
    done = run_in(SOURCES, "-m", "recloser", "replay", "--prove", logs / "log")
    assert done.returncode == 0, done.stderr
