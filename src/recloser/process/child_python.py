"""How this package starts another Python: it runs no module of the current folder.

A log may be looked at in a folder that somebody else fills. Python by itself puts the current
folder first on the path of a process that is started with ``-c`` or ``-m``, so that a file named
``msgspec.py`` there would be run in place of the library.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

# pathlib is not used here: to import it takes a fifth of what the command needs to start.
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
_OURS: Final = os.path.dirname(_PACKAGE)  # noqa: PTH120


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs ``main()`` of a module of this package in another Python.

    Args:
        module: The module; it is found where this process would find it.
        arguments: What it gets as ``sys.argv[1:]``.
    """
    code = f"import sys; sys.path[:] = {safe_path()!r}; from {module} import main; main()"
    return [sys.executable, "-P", "-c", code, *arguments]


def environment(changed: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for another Python, which keep it from the current folder.

    Args:
        changed: Variables that are to be other ones.
    """
    variables = {**os.environ, "PYTHONSAFEPATH": "1", **(changed or {})}
    given = variables.pop("PYTHONPATH", "")
    kept = [entry for entry in given.split(os.pathsep) if _is_safe(entry)]
    if kept:
        variables["PYTHONPATH"] = os.pathsep.join(kept)
    return variables


@contextmanager
def safe_environment() -> Iterator[None]:
    """Let libraries that start Pythons of their own inherit ``environment()`` in this block."""
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
    """Take the current folder off this process's own path, for what it imports from now on."""
    sys.path[:] = safe_path()


def safe_path() -> list[str]:
    """``sys.path`` without the current folder, unless this package itself was found there."""
    path = [entry for entry in sys.path if _is_safe(entry)]
    return path if _OURS in path else [*path, _OURS]


def _is_safe(entry: str) -> bool:
    # A relative entry means another folder after each change of the current one.
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
