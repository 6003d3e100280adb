"""Run golden files as tests of pytest.

Pytest loads ``_recloser_pytest`` at its start, which declares the options and fixtures. It imports
this module when the first golden file is collected or the fixture ``golden_replay`` is used.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest._code.code import TerminalRepr  # has no public name
from _pytest._io import TerminalWriter

from recloser.cli.render.differences import Line, Style, checked_lines
from recloser.core.config import Settings
from recloser.errors import RecloserError
from recloser.golden.golden_pairs import (
    GoldenCheck,
    GoldenPair,
    Verdict,
    check,
    golden_path,
    trace_path,
    update,
)
from recloser.history.history import History

_MARKUP: Final[dict[Style, dict[str, bool]]] = {
    "plain": {},
    "title": {"bold": True},
    "old": {"red": True},
    "new": {"green": True},
}


class GoldenMismatch(AssertionError):  # noqa: N818  # a failed test, not an error of the program
    """A golden file differs from its trace's history, or did before its update."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(line.text for line in self.lines))


class GoldenFile(pytest.File):
    """A golden file, which pytest collects as one test."""

    def collect(self) -> Iterator["GoldenItem"]:
        """Yield the one test in the file."""
        yield GoldenItem.from_parent(self, name="golden")


class GoldenItem(pytest.Item):
    """The test that a golden file equals the history of its trace."""

    def runtest(self) -> None:
        """Check the golden file, or update it if ``--recloser-update`` is given."""
        _check_or_update(
            GoldenPair(trace_path(self.path), self.path),
            is_update=bool(self.config.getoption("--recloser-update")),
        )

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: object = None,  # noqa: ARG002  # pytest's own signature
    ) -> str | TerminalRepr:
        """Show the difference or a one-line error, instead of a traceback."""
        if isinstance(excinfo.value, GoldenMismatch):
            return _Shown(excinfo.value.lines)
        if isinstance(excinfo.value, RecloserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """The location and name of the test in reports."""
        return self.path, None, f"golden: {self.path.name}"


class GoldenReplay:
    """The value of the fixture ``golden_replay``: a function to replay a trace."""

    def __init__(self, root: Path, *, is_update: bool) -> None:
        self._root = root
        self._is_update = is_update

    def __call__(self, trace: str | os.PathLike[str], *, config: Settings | None = None) -> History:
        """Replay a trace, check it against its golden file, and return its history.

        Args:
            trace: The trace; a relative path begins at pytest's root directory.
            config: The settings of breakers that are driven with imported traffic; by default those
                in the golden file.
        """
        __tracebackhide__ = True
        path = self._root / trace
        pair = GoldenPair(path, golden_path(path))
        try:
            return _check_or_update(pair, config, is_update=self._is_update)
        except GoldenMismatch as mismatch:
            message = str(mismatch)
        except RecloserError as error:
            message = str(error)
        pytest.fail(message, pytrace=False)


class _Shown(TerminalRepr):
    """Lines that are coloured as on the command line, if pytest shows colours."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = lines

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self._lines:
            tw.line(line.text, **_MARKUP[line.style])


def _check_or_update(
    pair: GoldenPair, config: Settings | None = None, *, is_update: bool
) -> History:
    """Check or update the golden file of a trace and return the trace's history.

    Raises:
        GoldenMismatch: The file differs from the history, or did before it was updated.
        RecloserError: The trace or the golden file can't be used; the message is one line.
    """
    checked = update(pair, config) if is_update else check(pair, config)
    if checked.verdict is Verdict.SAME:
        return checked.history
    raise GoldenMismatch(_report_lines(checked))


def _report_lines(checked: GoldenCheck) -> Iterator[Line]:
    yield from checked_lines(checked)
    if checked.verdict in (Verdict.NEW, Verdict.CHANGED):
        yield Line("the golden file was written: review the change, then run the tests again")
    else:
        yield Line("if this change is intended, run: pytest --recloser-update")
