"""Which kernel is imported: the compiled one where there is one, the interpreted one with RECLOSER_PURE=1."""

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from kernel_driver import interpreted

import recloser.core
from recloser.core import kernel

FOLDER = Path(recloser.core.__file__).parent
IS_THERE = any((FOLDER / f"kernel{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
PRINT = (
    "from recloser.core import kernel\n"
    "import recloser.core.kernel as same, sys\n"
    "assert kernel is same is sys.modules['recloser.core.kernel']\n"
    "print(kernel.IS_COMPILED, type(kernel.run).__name__, kernel.__file__.endswith('.py'))\n"
)


def imported(pure):
    env = {**os.environ, "RECLOSER_PURE": pure}
    command = [sys.executable, "-c", PRINT]
    return subprocess.check_output(command, env=env, text=True).split()


@pytest.mark.parametrize("pure", ["", "0"])
def test_the_compiled_kernel_is_imported_where_there_is_one(pure):
    if not IS_THERE:
        pytest.skip("the kernel is not compiled")
    is_compiled, kind, is_source = imported(pure)
    assert (is_compiled, is_source) == ("True", "False")
    assert kind != "function"


def test_recloser_pure_has_the_source_imported_beside_a_compiled_kernel():
    assert imported("1") == ["False", "function", "True"]


def test_both_kernels_run_in_one_process():
    assert not interpreted().IS_COMPILED
    assert (interpreted() is kernel) == (not kernel.IS_COMPILED)
    assert sys.modules["recloser.core.kernel"] is kernel
    if IS_THERE and os.environ.get("RECLOSER_PURE") != "1":
        assert kernel.IS_COMPILED
