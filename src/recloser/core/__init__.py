"""The rules of the breaker, pure: no clock, no randomness, no input or output.

A module that is compiled lies beside its source, and is what Python imports. With ``RECLOSER_PURE=1``
in the environment the source is imported instead.
"""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

COMPILED_MODULES = ("recloser.core.kernel",)


def from_source(module: str) -> ModuleType:
    """A new module from its source in this package, even where a compiled one lies beside it.

    Args:
        module: Its full name.
    """
    source = Path(__file__).with_name(module.rpartition(".")[2] + ".py")
    spec = spec_from_file_location(module, source)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


if os.environ.get("RECLOSER_PURE") == "1":
    for _name in COMPILED_MODULES:
        sys.modules[_name] = from_source(_name)
