"""Pages of documentation as programs: their commands and code run in order, their outputs compared.

Blocks of a page, by the language after the opening fence:

- ``console``: commands after ``$ ``, each followed by its output, which must be what is printed.
- ``sh``: commands whose output is not shown.
- ``python``: a program. A ``text`` block right after it is its output.
- any language with ``title="NAME"``: a file, which later commands may use.
- ``text`` and ``mermaid`` otherwise: shown, not run.

A comment on the line before a block is its marker:

- ``<!-- output varies -->``: it runs, and its output is a sample that is not compared.
- ``<!-- exit status N -->``: the last command of the block ends with this status instead of 0.
- ``<!-- run by .ci/run -->``: an installation, which the checks run in an empty environment.
- ``<!-- fragment -->``: part of a file, such as a configuration, shown and not run.

Markers are joined by a semicolon. ``<!-- needs: NAME -->`` at the top of a page names servers, whose
addresses in the page are replaced by those of real ones.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

import recloser

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = Path(recloser.__file__).parent / "docs"
ADDRESSES: Final = {
    "http": "localhost:8080",
    "grpc": "localhost:50051",
    "redis": "localhost:6379",
}
"""The addresses that pages use, by the name of the server in ``<!-- needs: NAME -->``."""

_FENCE: Final = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?$")
_MARKER: Final = re.compile(r"^<!-- (.+) -->$")
_NEEDS: Final = re.compile(r"^<!-- needs: (.+) -->$", re.MULTILINE)
_STATUS: Final = re.compile(r"exit status (\d+)")
_VARIES: Final = "output varies"
_SHOWN: Final = ("text", "mermaid")
_PROMPT: Final = "$ "
_SECONDS: Final = 300


class PageError(Exception):
    """A block of a page is not what its conventions allow, or does not do what the page shows."""


@frozen
class Block:
    """A fenced block of a page.

    Attributes:
        line: The line of its opening fence, counted from 1.
        language: The word after the fence.
        title: The name of the file that the block is, if it is one.
        markers: What the comment before it says.
        lines: What is between the fences.
    """

    line: int
    language: str
    title: str | None
    markers: Sequence[str]
    lines: Sequence[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def output_varies(self) -> bool:
        """Whether the output is not compared."""
        return _VARIES in self.markers

    @property
    def shows_no_output(self) -> bool:
        """Whether the output was never written."""
        return all(line.startswith(_PROMPT) for line in self.lines)

    @property
    def status(self) -> int:
        """The exit status of the last command."""
        found = (_STATUS.fullmatch(marker) for marker in self.markers)
        return next((int(match[1]) for match in found if match), 0)

    @property
    def is_run(self) -> bool:
        """Whether running the page runs this block."""
        return not {"run by .ci/run", "fragment"} & set(self.markers)


@frozen
class Run:
    """What running a block printed.

    Attributes:
        block: The block that shows the output.
        lines: The lines that the block should consist of.
    """

    block: Block
    lines: Sequence[str]

    @property
    def is_as_shown(self) -> bool:
        """Whether the page shows what was printed, where it may not vary."""
        return self.block.output_varies or list(self.block.lines) == list(self.lines)


@frozen
class Page:
    """A page, read from its file.

    Attributes:
        path: Its file.
        lines: The lines of the file.
        blocks: Its fenced blocks, in their order.
    """

    path: Path
    lines: Sequence[str]
    blocks: Sequence[Block] = field()

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Read a page."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls(path, lines, tuple(_blocks(lines)))

    @property
    def needs(self) -> Sequence[str]:
        """The servers that the page needs."""
        found = _NEEDS.search("\n".join(self.lines))
        return found[1].split(", ") if found else ()

    @property
    def commands(self) -> Iterator[str]:
        """The commands that running the page runs."""
        for block in self.blocks:
            if block.is_run and block.language == "console":
                yield from (command for command, _ in _commands(block))
            elif block.is_run and block.language == "sh":
                yield from block.lines

    def run(self, folder: Path, addresses: Mapping[str, str]) -> Iterator[Run]:
        """Run the blocks in order, in a folder that has what the page starts with.

        Args:
            folder: Where the commands run.
            addresses: The addresses of real servers, by their names in ``needs``.

        Raises:
            PageError: A command ends with another exit status than the page says.
        """
        shell = _Shell(self.path, folder, {ADDRESSES[name]: at for name, at in addresses.items()})
        for place, block in enumerate(self.blocks):
            follower = self.blocks[place + 1] if place + 1 < len(self.blocks) else None
            if not block.is_run:
                continue
            if block.title is not None:
                (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.title).write_text(shell.real(block.text), encoding="utf-8")
            elif block.language == "console":
                yield Run(block, list(shell.console(block)))
            elif block.language == "sh":
                for command in block.lines:
                    shell.run(block, ["bash", "-c", command], block.status)
            elif block.language == "python":
                printed = shell.python(block)
                if follower is not None and self._shows_output_of(block, follower):
                    yield Run(follower, printed)
            elif block.language not in _SHOWN:
                raise PageError(f"{self.path}:{block.line}: no rule for a block of this language")

    def _shows_output_of(self, block: Block, follower: Block) -> bool:
        if follower.language != "text" or follower.title is not None:
            return False
        end = block.line + len(block.lines) + 1
        between = self.lines[end : follower.line - 1]
        return all(not line or _MARKER.match(line) for line in between)

    def with_outputs(self, runs: Sequence[Run], *, samples: bool = False) -> str:
        """The text of the page with what was printed in place of what it shows.

        Args:
            runs: What its blocks printed.
            samples: Replace outputs that vary too.
        """
        lines = list(self.lines)
        for run in sorted(runs, key=lambda run: run.block.line, reverse=True):
            if samples or not run.block.output_varies or run.block.shows_no_output:
                lines[run.block.line : run.block.line + len(run.block.lines)] = run.lines
        return "".join(f"{line}\n" for line in lines)


@frozen
class _Shell:
    """Runs the commands of a page."""

    page: Path
    folder: Path
    addresses: Mapping[str, str]

    def console(self, block: Block) -> Iterator[str]:
        commands = list(_commands(block))
        for place, (command, _) in enumerate(commands):
            status = block.status if place == len(commands) - 1 else 0
            yield from f"{_PROMPT}{command}".splitlines()
            yield from self.run(block, ["bash", "-c", command], status)

    def python(self, block: Block) -> Sequence[str]:
        return self.run(block, [sys.executable, "-W", "error", "-c", block.text], block.status)

    def run(self, block: Block, command: Sequence[str], status: int) -> Sequence[str]:
        """The lines that a command prints, on both streams in their order."""
        done = subprocess.run(
            [self.real(part) for part in command],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != status:
            raise PageError(
                f"{self.page}:{block.line}: {command[-1]}\n"
                f"ended with status {done.returncode} instead of {status}:\n{done.stdout}"
            )
        printed = self._as_in_the_page(done.stdout)
        return [line.rstrip() for line in printed.rstrip("\n").splitlines()]

    def real(self, text: str) -> str:
        for shown, real in self.addresses.items():
            text = text.replace(shown, real)
        return text

    def _as_in_the_page(self, text: str) -> str:
        """The text with the addresses of the page, and with paths relative to the folder."""
        for shown, real in self.addresses.items():
            text = text.replace(real, shown)
        return text.replace(f"{self.folder}{os.sep}", "")


def _environment() -> dict[str, str]:
    """The environment of a reader who has activated the environment that recloser is in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    kept.pop("CI", None)
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "TZ": "UTC", "COLUMNS": "100"}


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    opened: Block | None = None
    for number, line in enumerate(lines, 1):
        if opened is not None and line == "```":
            yield evolve(opened, lines=tuple(lines[opened.line : number - 1]))
            opened = None
        elif opened is None and (fence := _FENCE.match(line)):
            before = lines[number - 2] if number > 1 else ""
            marker = _MARKER.match(before)
            markers = marker[1].split("; ") if marker else ()
            opened = Block(number, fence[1], fence[2], markers, ())


def _commands(block: Block) -> Iterator[tuple[str, int]]:
    """The commands of a console block, with the place of each; a backslash continues a line."""
    place = 0
    while place < len(block.lines):
        line = block.lines[place]
        if line.startswith(_PROMPT):
            command, at = line.removeprefix(_PROMPT), place
            while command.endswith("\\"):
                place += 1
                command = f"{command}\n{block.lines[place]}"
            yield command, at
        place += 1


def all_pages() -> Sequence[Path]:
    """The README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(FOLDER.glob("*.md"))]
