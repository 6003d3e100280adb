"""How this package starts another Python without running modules of the current folder.

A user may look at a log in a folder that somebody else has filled. Python itself puts the current
folder first on the import path of a process that is started with ``-c`` or ``-m``, so a file named
``msgspec.py`` there would run in place of the library.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

# Without pathlib, whose import takes a fifth of the time in which the command starts.
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
_OURS: Final = os.path.dirname(_PACKAGE)  # noqa: PTH120


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs ``main()`` of a module of this package in another Python.

    Args:
        module: The module; it is found where this process would find it.
        arguments: The arguments, which become ``sys.argv[1:]``.
    """
    code = f"import sys; sys.path[:] = {safe_path()!r}; from {module} import main; main()"
    return [sys.executable, "-P", "-c", code, *arguments]


def environment(changed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return environment variables that keep another Python from importing the current folder.

    Args:
        changed: Variables that differ from those of this process.
    """
    variables = {**os.environ, "PYTHONSAFEPATH": "1", **(changed or {})}
    given = variables.pop("PYTHONPATH", "")
    kept = [entry for entry in given.split(os.pathsep) if _is_safe(entry)]
    if kept:
        variables["PYTHONPATH"] = os.pathsep.join(kept)
    return variables


@contextmanager
def safe_environment() -> Iterator[None]:
    """Set the variables of ``environment()`` for Pythons that libraries start in this block."""
    safe = environment()
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    try:
        for name in before:
            _set(name, safe.get(name))
        yield
    finally:
        for name, value in before.items():
            _set(name, value)


def leave_out_current_folder() -> None:
    """Remove the current folder from the path on which this process imports modules."""
    sys.path[:] = safe_path()


def safe_path() -> list[str]:
    """Return ``sys.path`` without the current folder, unless this package itself is in it."""
    path = [entry for entry in sys.path if _is_safe(entry)]
    return path if _OURS in path else [*path, _OURS]


def _is_safe(entry: str) -> bool:
    # A relative entry means another folder after each change of the current folder.
    return entry == _OURS or (os.path.isabs(entry) and not _is_current(entry))  # noqa: PTH117


def _is_current(entry: str) -> bool:
    try:
        return os.path.samefile(entry, os.getcwd())  # noqa: PTH109, PTH121
    except (OSError, ValueError):
        return False  # one of the two does not exist, so nothing is imported from it


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
