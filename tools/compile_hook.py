"""What hatchling runs when it builds recloser: compiles its one Cython module, if a compiler is there.

Without one, or where compiling fails, the package is built without the module, which it can do
without, and says so.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "recloser.log.success_lines"


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled module to a wheel, or puts it beside its source for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel be one for this Python and platform."""
        if self.target_name != "wheel":
            return
        source = Path(self.root, "src", *MODULE.split(".")).with_suffix(".pyx")
        self._folder = tempfile.TemporaryDirectory()  # until hatchling is done with what is in it
        try:
            compiled = compile_into(Path(self._folder.name), source)
        except Exception as error:  # noqa: BLE001  # setuptools has no one error for what can fail
            self.app.display_warning(f"{MODULE} is left out: it can't be compiled here: {error}")
            return
        if version == "editable":
            shutil.copy(compiled, source.parent)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(compiled)] = f"recloser/log/{compiled.name}"


def compile_into(folder: Path, source: Path) -> Path:
    """The module, compiled from its source into the folder."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    extension = Extension(MODULE, [str(source)])
    modules = cythonize([extension], build_dir=str(folder), quiet=True)
    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))
