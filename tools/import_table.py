"""Import the files that people try first, and show the results in src/recloser/docs/importing-traces.md.

``python tools/import_table.py`` prints the table; ``--write`` puts it into that page.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen

from import_rows import ROWS, Row
from recloser.cli import status_of

PAGE: Final = Path(__file__).parent.parent / "src" / "recloser" / "docs" / "importing-traces.md"
BEGIN: Final = "<!-- begin: python tools/import_table.py --write -->\n"
END: Final = "<!-- end -->\n"

_HEAD: Final = (
    "| file | first command | detected format | succeeded | failed | ignored |\n"
    "| --- | --- | --- | ---: | ---: | ---: |\n"
)


@frozen
class Found:
    """The result of a row.

    Attributes:
        format: The format that was detected; empty if the file was refused.
        counts: How many calls succeeded, failed and were ignored.
        said: The error message if the file was refused.
    """

    format: str
    counts: tuple[int, int, int]
    said: str


def imported(row: Row, folder: Path) -> Found:
    """Run the command of a row.

    Args:
        row: The row.
        folder: The folder for its file and its log.
    """
    place = folder / row.name
    place.mkdir()
    (place / row.file).write_bytes(row.data)
    words = ["import", str(place / row.file), *row.options, "-o", str(place / "log"), "--json"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = status_of(words)
    if status not in (0, 3):
        return Found("", (0, 0, 0), err.getvalue().strip().removeprefix("recloser: "))
    report = json.loads(out.getvalue())
    counts = (report["succeeded"], report["failed"], report["ignored"])
    return Found(report["format"], counts, "")


def table() -> str:
    """Return the table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        return _HEAD + "".join(_line(row, imported(row, Path(folder))) for row in ROWS)


def _line(row: Row, found: Found) -> str:
    options = " ".join(f"'{word}'" if set(word) & set("{$|") else word for word in row.options)
    command = f"recloser import {row.file} {options}".strip().replace("|", "\\|")
    if found.said:
        return (
            f"| {row.what} | `{command}` | refused: {found.said.replace('|', '/')[:200]} | | | |\n"
        )
    counts = " | ".join(map(str, found.counts))
    return f"| {row.what} | `{command}` | {found.format} | {counts} |\n"


def main() -> int:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description="Results of the imports that people try first.")
    parser.add_argument("--write", action="store_true", help=f"put it into {PAGE.name}")
    made = table()
    if not parser.parse_args().write:
        sys.stdout.write(made)
        return 0
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
