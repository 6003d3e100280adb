"""Writes a page to a file, whole or not at all."""

import os
from pathlib import Path


def write_page(page: str, out: Path, *, force: bool = False) -> None:
    """Write a page to a file.

    Args:
        page: The HTML.
        out: The file, which must not exist, not even as a broken link, unless ``force`` is set.
        force: Whether to replace an existing file.

    Raises:
        OSError: The page can't be written. No part of it is left, and an existing file is unchanged.
    """
    data = page.encode(errors="backslashreplace")
    if not force or not os.path.lexists(out):
        _write_new(data, out)
    elif out.is_symlink() or not out.is_file():
        out.write_bytes(data)  # a device, or a link: the file that it leads to is written
    else:
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        _write_new(data, part)
        part.replace(out)


def _write_new(data: bytes, path: Path) -> None:
    with path.open("xb") as stream:
        try:
            stream.write(data)
            stream.flush()
        except BaseException:
            path.unlink()
            raise
