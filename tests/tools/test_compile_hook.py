"""What pip installs: with the compiled module where there is a compiler, and without it elsewhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from conftest import ROOT

COMPILER = os.environ.get("CC") or sysconfig.get_config_var("CC").split()[0]
MODULE = f"recloser/log/success_lines{sysconfig.get_config_var('EXT_SUFFIX')}"


def built(folder, compiler=None):
    """The one wheel that is built, by hatchling as pip has it do that, and what was printed."""
    env = os.environ | ({} if compiler is None else {"CC": compiler})
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"the C compiler {COMPILER} is missing")
def test_a_wheel_has_the_module_that_was_compiled_for_its_python(tmp_path):
    wheel, _ = built(tmp_path / "wheels")
    assert not wheel.name.endswith("-none-any.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    assert (tmp_path / "installed" / MODULE).is_file()
    show = "from recloser.log import chunks; print(chunks.IS_COMPILED, chunks.__file__)"
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    printed = subprocess.check_output([sys.executable, "-c", show], env=env, text=True)
    assert printed.split() == ["True", str(tmp_path / "installed/recloser/log/chunks.py")]


def test_without_a_compiler_the_wheel_is_for_every_python_and_works_as_well(tmp_path):
    wheel, printed = built(tmp_path / "wheels", compiler="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "recloser.log.success_lines is left out: it can't be compiled here" in printed
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    use = (
        "from recloser import CircuitBreaker, EventLog\n"
        "from recloser.log import chunks\n"
        "log = EventLog('calls')\n"
        "call = CircuitBreaker('b', log=log)(lambda: 1)\n"
        "for _ in range(20): call()\n"
        "log.close()\n"
        "print(chunks.IS_COMPILED, sum(event.kind == 'call_succeeded' for event in log))\n"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    printed = subprocess.check_output([sys.executable, "-c", use], env=env, cwd=tmp_path, text=True)
    assert printed.split() == ["False", "20"]
