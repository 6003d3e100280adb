"""Writing a page to where the user wants it: whole, or not at all."""

import os
from pathlib import Path


def write_page(page: str, out: Path, *, force: bool = False) -> None:
    """Write a page to a file.

    Args:
        page: The page.
        out: The file. It must not be there, nor a link of that name.
        force: Whether one that is there is written over.

    Raises:
        OSError: It can't be written; no part of it is left, and an older page stays as it was.
    """
    data = page.encode(errors="backslashreplace")
    if not force or not os.path.lexists(out):
        _write_new(data, out)
    elif out.is_symlink() or not out.is_file():
        out.write_bytes(data)  # a device, or where a link of the user's leads
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
