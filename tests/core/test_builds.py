"""Which kernel is imported: the compiled one where there is one, the interpreted one with RECLOSER_PURE=1."""

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from kernel_driver import interpreted

import recloser.core
from recloser.core import kernel
from recloser.core.kernel import codes
from recloser.process.from_sources import KERNEL

FOLDER = Path(recloser.core.__file__).parent
MODULES = [name for name in KERNEL if name.startswith(kernel.__name__)]
IS_THERE = any((FOLDER / f"kernel/steps{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
PRINT = (
    "from recloser.core import kernel\n"
    "import recloser.core.kernel as same, sys\n"
    "assert kernel is same is sys.modules['recloser.core.kernel']\n"
    f"files = {{sys.modules[name].__file__.endswith('.py') for name in {MODULES}}}\n"
    "print(kernel.IS_COMPILED, type(kernel.run).__name__, *files)\n"
)


def imported(pure):
    env = {**os.environ, "RECLOSER_PURE": pure}
    command = [sys.executable, "-c", PRINT]
    return subprocess.check_output(command, env=env, text=True).split()


def sources_of_the_kernel():
    return [path.stem for path in (FOLDER / "kernel").glob("*.py") if path.stem != "__init__"]


def test_every_module_of_the_kernel_is_compiled_but_the_codes():
    assert {name.rpartition(".")[2] for name in MODULES} == {*sources_of_the_kernel()} - {"codes"}


@pytest.mark.parametrize("pure", ["", "0"])
def test_the_compiled_kernel_is_imported_where_there_is_one(pure):
    if not IS_THERE:
        pytest.skip("the kernel is not compiled")
    is_compiled, kind, *are_sources = imported(pure)
    assert (is_compiled, are_sources) == ("True", ["False"])
    assert kind != "function"


def test_recloser_pure_imports_the_sources_beside_a_compiled_kernel():
    assert imported("1") == ["False", "function", "True"]


def test_both_kernels_run_in_one_process():
    assert not interpreted().IS_COMPILED
    assert (interpreted() is kernel) == (not kernel.IS_COMPILED)
    assert sys.modules["recloser.core.kernel"] is kernel is recloser.core.kernel
    assert sys.modules["recloser.core.kernel.steps"].step is kernel.step
    assert import_module("recloser.core.kernel.steps").step is kernel.step
    if IS_THERE and os.environ.get("RECLOSER_PURE") != "1":
        assert kernel.IS_COMPILED


def test_constants_of_c_are_the_codes():
    """``codes.pxd`` gives the compiled modules the numbers of ``codes.py``."""
    text = (FOLDER / "kernel/codes.pxd").read_text()
    of_c = dict(re.findall(r'^    (?:const long long )?(\w+) (?:= |")(-?\d+)', text, re.MULTILINE))
    of_python = {name: value for name, value in vars(codes).items() if isinstance(value, int)}
    assert {name: int(value) for name, value in of_c.items()} == of_python
