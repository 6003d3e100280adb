"""Which modules run from their sources where compiled ones lie beside them.

A module that is compiled lies beside its source, and is what Python imports. With ``RECLOSER_PURE=1``
in the environment the source is imported instead. Where threads run without a lock of the interpreter's
so is the source of what relies on that lock.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

KERNEL: Final = ("recloser.core.kernel", "recloser.core.orders")
LIVE: Final = (
    "recloser.live.call_buffer",
    "recloser.live.call_tokens",
    "recloser.live.fast_path",
    "recloser.live.function_wrapper",
)
"""What live calls pass through; compiled, it relies on the interpreter's lock."""

_PACKAGE: Final = Path(__file__).parents[1]


class _Sources:
    """Finds the sources of some modules."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = frozenset(modules)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """As ``importlib`` asks."""
        del path, target
        return spec_of(name) if name in self.modules else None


def spec_of(module: str) -> ModuleSpec:
    """How a module of this package is made from its source.

    Args:
        module: Its full name.
    """
    _, *path = module.split(".")
    spec = spec_from_file_location(module, _PACKAGE.joinpath(*path).with_suffix(".py"))
    assert spec is not None
    return spec


def from_source(module: str) -> ModuleType:
    """A new module from its source, even where a compiled one lies beside it."""
    spec = spec_of(module)
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def interpreted() -> Sequence[str]:
    """The modules that are to run from their sources."""
    if os.environ.get("RECLOSER_PURE") == "1":
        return *KERNEL, *LIVE
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return () if has_lock else LIVE


if modules := interpreted():
    sys.meta_path.insert(0, _Sources(modules))
