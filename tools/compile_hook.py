"""Build hook of hatchling: compiles the Cython modules where there is a C compiler.

If one of them can't be compiled, the package is built without any, with a warning; it works the same,
only slower. Compiled modules call one another in C, so a part of them would not work.
"""

import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LISTS = runpy.run_path(
    str(Path(__file__).parents[1] / "src" / "recloser" / "process" / "from_sources.py")
)
MODULES: tuple[str, ...] = (
    *_LISTS["KERNEL"],
    *_LISTS["LIVE"],
    "recloser.live.outcome_lines",
    "recloser.log.seal_search",
    "recloser.log.text_table",
    "recloser.log.outcome_rows",
)
"""All compiled modules: those with a source in Python, which the package itself lists, and others."""


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel, or puts them beside their sources if it is editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the modules, which makes the wheel one for this Python and platform."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        self._folder = (
            tempfile.TemporaryDirectory()
        )  # lives until hatchling has copied the modules from it
        compiled: dict[Path, Path] = {}
        for module in MODULES:
            source = source_of(root, module)
            try:
                compiled[source] = compile_into(Path(self._folder.name), module, source)
            except Exception as error:  # noqa: BLE001  # setuptools raises errors of many classes
                self.app.display_warning(
                    f"the compiled modules are left out: {module} can't be compiled here: {error}"
                )
                return
        if version == "editable":
            for source, made in compiled.items():
                put_beside(made, source)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for source, made in compiled.items():
            target = source.relative_to(root / "src").with_name(made.name)
            build_data["force_include"][str(made)] = str(target)


def put_beside(compiled: Path, source: Path) -> Path:
    """Put a compiled module beside its source; processes that have loaded the old one keep it."""
    target = source.with_name(compiled.name)
    copied = shutil.copy(compiled, target.with_suffix(".new"))
    return Path(copied).replace(target)


def source_of(root: Path, module: str) -> Path:
    """The source of a module: a ``.pyx`` file, or the ``.py`` file that runs without a compiler."""
    source = Path(root, "src", *module.split("."))
    return next(filter(Path.exists, map(source.with_suffix, (".pyx", ".py"))))


def compile_into(folder: Path, module: str, source: Path) -> Path:
    """Compile a module into a folder.

    Returns:
        The path of the compiled module.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Some Pythons are built with less optimisation; the compiler of Windows has no such option.
    options = [] if sys.platform == "win32" else ["-O3"]
    extension = Extension(module, [str(source)], extra_compile_args=options)
    modules = cythonize([extension], build_dir=str(folder), quiet=True)
    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(module))
