"""What mkdocs runs while it builds the site: it adds the page of the interface."""

from typing import Any, Final

import recloser

_MODULES: Final = ("recloser.redis", "recloser.arrow", "recloser.testing.strategies")


def on_files(files: Any, config: Any) -> Any:
    """Add a page that mkdocstrings fills from the docstrings, with a front page for the site."""
    from mkdocs.structure.files import File

    names = [name for name in recloser.__all__ if not name.startswith("__")]
    parts = ["# API reference, with types", *(f"::: recloser.{name}" for name in names)]
    parts += [f"::: {module}" for module in _MODULES]
    files.append(File.generated(config, "reference.md", content="\n\n".join(parts) + "\n"))
    return files
