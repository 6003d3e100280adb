"""Files of an import: expanded folders and patterns, and rotated logs by age."""

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

_AgeKey: TypeAlias = tuple[int, int, str]


def input_files(paths: Iterable[str]) -> list[str]:
    """List the files at some paths.

    Of a rotated log, the older pieces come before the newer ones.

    Args:
        paths: Files; folders, whose files are all taken except hidden ones; patterns such as ``*.log``;
            and ``-`` for standard input.

    Raises:
        ImportTraceError: A pattern matches nothing, a folder holds no file, or a piece of a log exists
            twice, such as ``a.log.1`` beside ``a.log.1.gz``.
    """
    found = list(dict.fromkeys(file for path in paths for file in _files_at(path)))
    logs: dict[str, list[tuple[_AgeKey, str]]] = {}
    for file in found:
        log, key = _piece_of(file)
        logs.setdefault(log, []).append((key, file))
    return [file for pieces in logs.values() for file in _by_age(pieces)]


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
            raise ImportTraceError(f"{path}: this folder holds no file to import")
        yield from files
    elif glob.has_magic(path) and not os.path.lexists(path):
        matched = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # a pattern of any root
        if not matched:
            raise ImportTraceError(
                f"no file matches {path!r}; check the pattern and the folder it is run in"
            )
        for each in matched:
            yield from _files_at(each)
    else:
        yield path


def _piece_of(file: str) -> tuple[str, _AgeKey]:
    """Return the log that a file is a piece of, and a sort key by its age."""
    name = _PACKED.sub("", file)
    if found := _NUMBERED.fullmatch(name):
        return found[1], (1, -int(found[2]), "")
    if found := _DATED.fullmatch(name):
        return found[1], (0, 0, found[2])
    return name, (2, 0, "")


def _by_age(pieces: Sequence[tuple[_AgeKey, str]]) -> Iterator[str]:
    before = None
    for key, file in sorted(pieces):
        if before is not None and before[0] == key:
            raise ImportTraceError(
                f"{before[1]} and {file} are the same piece of a log; name one of them"
            )
        before = key, file
        yield file
