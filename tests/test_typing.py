"""The public names as type checkers see them: see ``tests/typing/api.py``."""

import subprocess
import sys

import pytest

from conftest import ROOT

CHECKED = "tests/typing/api.py"


@pytest.mark.parametrize(
    "checker",
    [
        ["mypy", "--strict", "--no-incremental"],
        ["basedpyright", "--level", "error"],
    ],
    ids=lambda command: command[0],
)
def test_type_checkers_accept_the_uses_of_the_public_names(checker):
    name, *options = checker
    pytest.importorskip(name, reason=f"{name} is missing: install recloser[dev]")
    command = [sys.executable, "-m", name, *options, CHECKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
