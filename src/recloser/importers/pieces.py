"""The files that an import is given: folders, patterns, and the pieces of a log that was rotated."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from recloser.errors import ImportTraceError

_PACKED: Final = re.compile(r"\.(?:gz|zst|bz2|xz|zip)$")
_NUMBERED: Final = re.compile(r"(.+?)\.(\d{1,4})")
_DATED: Final = re.compile(r"(.+?)[.-](\d{4}-?\d\d-?\d\d.*|\d{10,})")

_Place: TypeAlias = tuple[str, tuple[int, int, str]]


def files_of(paths: Iterable[str]) -> list[str]:
    """The files at some paths, the older pieces of a rotated log before the newer ones.

    Args:
        paths: Files, folders, of which all files are taken but hidden ones, patterns as ``*.log``,
            and ``-`` for standard input.

    Raises:
        ImportTraceError: Nothing matches a pattern, a folder holds no file, or a piece is there
            twice, packed and not.
    """
    found = list(dict.fromkeys(file for path in paths for file in _files_at(path)))
    logs: dict[str, list[tuple[tuple[int, int, str], str]]] = {}
    for file in found:
        log, place = _place_of(file)
        logs.setdefault(log, []).append((place, file))
    return [file for pieces in logs.values() for file in _in_order(pieces)]


def _files_at(path: str) -> Iterator[str]:
    if path == "-":
        yield path
    elif Path(path).is_dir():
        files = [
            str(file)
            for file in sorted(Path(path).rglob("*"))
            if file.is_file() and not any(part[0] == "." for part in file.relative_to(path).parts)
        ]
        if not files:
            raise ImportTraceError(f"{path}: there is no file in this folder")
        yield from files
    elif glob.has_magic(path) and not os.path.lexists(path):
        matched = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # a pattern of any root
        if not matched:
            raise ImportTraceError(f"no file matches {path!r}")
        for each in matched:
            yield from _files_at(each)
    else:
        yield path


def _place_of(file: str) -> _Place:
    """The log that a file is a piece of, and its place among the pieces: the oldest is first."""
    name = _PACKED.sub("", file)
    if found := _NUMBERED.fullmatch(name):
        return found[1], (1, -int(found[2]), "")
    if found := _DATED.fullmatch(name):
        return found[1], (0, 0, found[2])
    return name, (2, 0, "")


def _in_order(pieces: Sequence[tuple[tuple[int, int, str], str]]) -> Iterator[str]:
    before = None
    for place, file in sorted(pieces):
        if before is not None and before[0] == place:
            raise ImportTraceError(f"{before[1]} and {file} are the same piece of a log: name one")
        before = place, file
        yield file
