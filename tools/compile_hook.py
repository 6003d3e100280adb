"""What hatchling runs when it builds recloser: compiles its Cython modules, if a compiler is there.

Without one, or where compiling fails, the package is built without them, which it can do without,
and says so.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = (
    "recloser.core.kernel",
    "recloser.core.orders",
    "recloser.live.call_buffer",
    "recloser.live.fast_path",
    "recloser.live.function_wrapper",
    "recloser.live.outcome_lines",
    "recloser.log.seal_search",
    "recloser.log.text_table",
    "recloser.log.outcome_rows",
)


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel, or puts them beside their sources if it is editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel be one for this Python and platform."""
        if self.target_name != "wheel":
            return
        self._folder = tempfile.TemporaryDirectory()  # until hatchling is done with what is in it
        for module in MODULES:
            source = source_of(Path(self.root), module)
            try:
                compiled = compile_into(Path(self._folder.name), module, source)
            except Exception as error:  # noqa: BLE001  # setuptools has no one error for what can fail
                self.app.display_warning(
                    f"{module} is left out: it can't be compiled here: {error}"
                )
                continue
            if version == "editable":
                put_beside(compiled, source)
                continue
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            place = source.relative_to(Path(self.root, "src")).with_name(compiled.name)
            build_data["force_include"][str(compiled)] = str(place)


def put_beside(compiled: Path, source: Path) -> Path:
    """Put a compiled module beside its source; what runs with the one before keeps that whole."""
    place = source.with_name(compiled.name)
    made = shutil.copy(compiled, place.with_suffix(".new"))
    return Path(made).replace(place)


def source_of(root: Path, module: str) -> Path:
    """What a module is compiled from: a ``.pyx``, or the ``.py`` that runs where it is not compiled."""
    source = Path(root, "src", *module.split("."))
    return next(filter(Path.exists, map(source.with_suffix, (".pyx", ".py"))))


def compile_into(folder: Path, module: str, source: Path) -> Path:
    """A module, compiled from its source into the folder."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Some Pythons are built with less; the compiler of Windows has no such option.
    options = [] if sys.platform == "win32" else ["-O3"]
    extension = Extension(module, [str(source)], extra_compile_args=options)
    modules = cythonize([extension], build_dir=str(folder), quiet=True)
    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(module))
