"""Which modules run from their sources where compiled ones lie beside them.

A compiled module lies beside its source, and Python imports it in place of the source. With
``RECLOSER_PURE=1`` in the environment the source is imported instead. In a Python without a global
interpreter lock so are the sources of the modules that rely on that lock.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

KERNEL: Final = (
    "recloser.core.kernel.branching",
    "recloser.core.kernel.bulk_window",
    "recloser.core.kernel.call_columns",
    "recloser.core.kernel.call_simulation",
    "recloser.core.kernel.closed",
    "recloser.core.kernel.half_open",
    "recloser.core.kernel.kernel_state",
    "recloser.core.kernel.retiming",
    "recloser.core.kernel.ring",
    "recloser.core.kernel.rows",
    "recloser.core.kernel.spare",
    "recloser.core.kernel.steps",
    "recloser.core.kernel.thresholds",
    "recloser.core.kernel.window",
    "recloser.core.orders",
)
"""The compiled modules of the rules, and of the order of imported calls."""

LIVE: Final = (
    "recloser.live.call_buffer",
    "recloser.live.call_tokens",
    "recloser.live.fast_path",
    "recloser.live.function_wrapper",
)
"""The compiled modules of live calls, which rely on the interpreter's lock."""

_PACKAGE: Final = Path(__file__).parents[1]


class _Sources:
    """An import finder for the sources of some modules."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = frozenset(modules)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a module, as ``importlib`` asks for it."""
        del path, target
        return spec_of(name) if name in self.modules else None


def spec_of(module: str) -> ModuleSpec:
    """The spec by which a module of this package is made from its source.

    Args:
        module: Its full name.
    """
    _, *path = module.split(".")
    spec = spec_from_file_location(module, _PACKAGE.joinpath(*path).with_suffix(".py"))
    assert spec is not None
    return spec


def from_source(module: str) -> ModuleType:
    """Import a new module from its source, even if there is a compiled one.

    Args:
        module: Its full name.
    """
    spec = spec_of(module)
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def interpreted() -> Sequence[str]:
    """Return the names of the modules that must run from their sources."""
    if os.environ.get("RECLOSER_PURE") == "1":
        return *KERNEL, *LIVE
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return () if has_lock else LIVE


if modules := interpreted():
    sys.meta_path.insert(0, _Sources(modules))
