"""What mkdocs runs while it builds the site: it adds the front page and the page of the interface."""

import re
from pathlib import Path
from typing import Any, Final

import recloser

_OFF_THE_SITE: Final = re.compile(r"\[([^\]]+)\]\(\.github/[^)]+\)")
_README: Final = Path(__file__).parent.parent.parent / "README.md"
_MODULES: Final = ("recloser.redis", "recloser.arrow", "recloser.testing.strategies")


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the front page, and a page that mkdocstrings fills from the docstrings."""
    from mkdocs.structure.files import File

    names = [name for name in recloser.__all__ if not name.startswith("__")]
    parts = ["# API reference, with types", *(f"::: recloser.{name}" for name in names)]
    parts += [f"::: {module}" for module in _MODULES]
    files.append(File.generated(config, "reference.md", content="\n\n".join(parts) + "\n"))
    front = _README.read_text(encoding="utf-8").replace("(src/recloser/docs/", "(")
    front = _OFF_THE_SITE.sub(r"\1", front)
    files.append(File.generated(config, "index.md", content=front))
    return files
