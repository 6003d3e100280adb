"""The README is always true: its commands run, its code works, its pictures are what is printed."""

import gzip
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from integration_extras import MODULES
from redis_servers import RedisServer, free_port, servers_here

from conftest import ROOT, SHARED
from recloser import CircuitBreakerConfig
from recloser.core import state_machine

README = (ROOT / "README.md").read_text()
SHOP = "ts-gateway-service,ts-travel2-service"
BIN = Path(sys.executable).parent


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader would be: beside the fixtures, with traces of their own."""
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    rows = [f"{n}000000000,5,shop,bank,{'fail' if n < 6 else 'ok'}" for n in range(1, 60)]
    header = "start_unix_nano,duration_ms,caller,target,outcome"
    (tmp_path / "calls.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "access.log").write_text(
        'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "a"\n'
    )
    real = SHARED / "data" / "trainticket-2023-01-29.csv.gz"
    if real.exists():
        shutil.copy(real, tmp_path)
    else:
        gateway = (row.replace("shop,bank", SHOP) for row in rows)
        text = "\n".join([header, *gateway]) + "\n"
        (tmp_path / real.name).write_bytes(gzip.compress(text.encode()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(command):
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_every_command_runs_in_its_order(folder):
    assert len(commands()) >= 8
    for command in commands():
        assert shell(command)


def test_every_command_of_the_program_is_mentioned():
    for name in (
        "demo",
        "diff",
        "golden check",
        "golden update",
        "import csv",
        "import access-log",
        "machine",
        "repair",
        "replay",
        "report",
        "tune",
        "verify",
        "watch",
        "whatif",
        "why",
    ):
        assert f"recloser {name}" in README


@pytest.fixture
def redis_port():
    """The port of a server; where there is none, one that nothing listens on."""
    if not servers_here():
        yield free_port()
        return
    with RedisServer() as server:
        yield server.port


def test_the_python_code_works(folder, golden_replay, redis_port):
    for code in blocks("python"):
        code = code.replace("localhost:6379", f"127.0.0.1:{redis_port}")  # noqa: PLW2901
        names = {}
        exec(compile(code, "README.md", "exec"), names)
        for name, value in list(names.items()):
            if name.startswith("test_"):
                asks = "golden_replay" in inspect.signature(value).parameters
                value(golden_replay) if asks else value()
        if "pay" in names:
            assert names["pay"](7) == "paid 7"
            names["breaker"].force_open()
            assert names["pay"](7) == "not now: forced_open"
        if "log" in names:
            names["log"].close()


def test_the_libraries_are_those_that_there_are_integrations_for():
    rows = re.findall(r"^\| .+? \| (`.+`) \| `\.(\w+) import (.+)` \|$", README, re.MULTILINE)
    extras = [extra for names, _, _ in rows for extra in re.findall(r"`(\w+)`", names)]
    assert sorted(extras) == sorted(MODULES)
    for _, module, names in rows:
        integration = importlib.import_module(f"recloser.integrations.{module}")
        assert set(names.split(", ")) <= set(integration.__all__)


def test_the_picture_is_what_why_prints(folder):
    picture = re.search(r"^    \$ (recloser why .*?)\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    shown = [line[4:] for line in picture[2].strip("\n").splitlines()]
    printed = [line.rstrip() for line in shell(picture[1]).rstrip("\n").splitlines()]
    assert shown == printed


def test_the_table_is_what_whatif_prints_of_a_real_trace(real_trace, folder):
    real_trace("trainticket-2023-01-29.csv.gz")
    command, picture = re.search(
        r"^    \$ (recloser whatif .*?)\n(.*?)\n\n(?=\S)", README, re.DOTALL | re.MULTILINE
    ).groups()
    shell(next(line for line in commands() if "-o shop" in line))
    printed = [line.rstrip() for line in shell(command).rstrip("\n").splitlines()]
    assert [line[4:] for line in picture.splitlines()] == printed


def test_the_diagram_is_generated():
    assert blocks("mermaid") == [state_machine.mermaid() + "\n"]


def test_the_settings_are_listed_with_their_defaults():
    settings, _, _ = README.partition("## For who replays")
    table = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", settings, re.MULTILINE))
    defaults = CircuitBreakerConfig()
    names = [field.name for field in attrs.fields(CircuitBreakerConfig)]
    assert table == {name: str(getattr(defaults, name)) for name in names}


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/recloser demo",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest",
    ],
)
def test_the_quickstart_is_what_the_checks_run(command):
    assert f"\n    {command}\n" in README
    assert f"\n{command} || exit 1\n" in (ROOT / ".ci" / "run").read_text()


def test_the_map_of_the_source_is_complete():
    _, _, source_map = README.partition("\n    src/recloser/\n")
    listed = set(
        re.findall(
            r"(\w+(?:\.py|/))",
            "".join(re.findall(r"^      (\S+(?:, \S+)*)  ", source_map, re.MULTILINE)),
        )
    )
    source = ROOT / "src" / "recloser"
    there = {
        path.name + "/" * path.is_dir()
        for path in source.iterdir()
        if path.name[0] != "_" and (path.is_dir() or path.suffix == ".py")
    }
    assert listed == there
