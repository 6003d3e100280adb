"""Wheels: with compiled modules if there is a compiler, and without them if there is none."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from compile_hook import MODULES, source_of
from conftest import ROOT

COMPILER = os.environ.get("CC") or sysconfig.get_config_var("CC").split()[0]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
IS_COMPILED = (
    "import sys\n"
    "import recloser.core.orders, recloser.live.function_wrapper\n"
    "from recloser.log import seals, write_batch\n"
    "from recloser.history import gathering\n"
    "from recloser.live import line_encoding\n"
    f"names = {list(MODULES)}\n"
    "modules = [sys.modules.get(name) for name in names]\n"
    "compiled = [bool(m) and not m.__file__.endswith('.py') for m in modules]\n"
    "print(write_batch.__file__, *compiled)\n"
)


def test_every_compiled_module_has_a_source_file():
    sources = [source_of(ROOT, module) for module in MODULES]
    assert {source.suffix for source in sources} == {".py", ".pyx"}
    assert all(each.with_suffix(".pxd").exists() for each in sources if each.suffix == ".py")


def built(folder, compiler=None):
    """Build one wheel with hatchling, as pip does; returns its path and what was printed."""
    env = os.environ | ({} if compiler is None else {"CC": compiler})
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"the C compiler {COMPILER} is missing")
def test_wheel_has_the_modules_compiled_for_its_python(tmp_path):
    wheel, _ = built(tmp_path / "wheels")
    assert not wheel.name.endswith("-none-any.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    for module in MODULES:
        assert (tmp_path / "installed" / f"{module.replace('.', '/')}{SUFFIX}").is_file()
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    printed = subprocess.check_output([sys.executable, "-c", IS_COMPILED], env=env, text=True)
    source = str(tmp_path / "installed/recloser/log/write_batch.py")
    assert printed.split() == [source, *["True"] * len(MODULES)]


def test_wheel_without_a_compiler_works_on_every_python(tmp_path):
    wheel, printed = built(tmp_path / "wheels", compiler="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert f"the compiled modules are left out: {MODULES[0]} can't be compiled here" in printed
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    use = (
        "from recloser import CircuitBreaker, EventLog\n"
        "log = EventLog('calls')\n"
        "call = CircuitBreaker('b', log=log)(lambda: 1)\n"
        "for _ in range(20): call()\n"
        "log.close()\n"
        "print(sum(event.kind == 'call_succeeded' for event in log))\n"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-c", IS_COMPILED + use]
    printed = subprocess.check_output(command, env=env, cwd=tmp_path, text=True)
    assert printed.split()[1:] == [*["False"] * len(MODULES), "20"]
