"""Golden files as pytest's tests; imported when the first of them is met.

The options, and the fixtures' declarations, are in ``_recloser_pytest``, which pytest loads.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest._code.code import TerminalRepr  # what a failure is shown by has no public name
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


class GoldenMismatch(AssertionError):  # noqa: N818  # it is a failed test, and no error of the program
    """A golden file does not tell the history of its trace, or did not before it was updated."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(line.text for line in self.lines))


class GoldenFile(pytest.File):
    """A golden file, which is one test."""

    def collect(self) -> Iterator["GoldenItem"]:
        """The one test in it."""
        yield GoldenItem.from_parent(self, name="golden")


class GoldenItem(pytest.Item):
    """The test that a golden file tells the history of the trace beside it."""

    def runtest(self) -> None:
        """Check the golden file, or update it where that was asked for."""
        _hold(
            GoldenPair(trace_path(self.path), self.path),
            is_update=bool(self.config.getoption("--recloser-update")),
        )

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: object = None,  # noqa: ARG002  # pytest's own signature
    ) -> str | TerminalRepr:
        """The difference, or one line that says what is wrong, instead of a traceback."""
        if isinstance(excinfo.value, GoldenMismatch):
            return _Shown(excinfo.value.lines)
        if isinstance(excinfo.value, RecloserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """How reports name the test."""
        return self.path, None, f"golden: {self.path.name}"


class GoldenReplay:
    """What the fixture ``golden_replay`` is: a function of a trace that gives its history."""

    def __init__(self, root: Path, *, is_update: bool) -> None:
        self._root = root
        self._is_update = is_update

    def __call__(self, trace: str | os.PathLike[str], *, config: Settings | None = None) -> History:
        """Replay a trace and hold it against the golden file beside it."""
        __tracebackhide__ = True
        path = self._root / trace
        pair = GoldenPair(path, golden_path(path))
        try:
            return _hold(pair, config, is_update=self._is_update)
        except GoldenMismatch as mismatch:
            message = str(mismatch)
        except RecloserError as error:
            message = str(error)
        pytest.fail(message, pytrace=False)


class _Shown(TerminalRepr):
    """Lines in the colours of the command line, where pytest shows colours."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = lines

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self._lines:
            tw.line(line.text, **_MARKUP[line.style])


def _hold(pair: GoldenPair, config: Settings | None = None, *, is_update: bool) -> History:
    """The history of a trace, which its golden file must tell.

    Raises:
        GoldenMismatch: It does not, or did not before it was updated.
        RecloserError: Nothing can be said; the message is one line.
    """
    checked = update(pair, config) if is_update else check(pair, config)
    if checked.verdict is Verdict.SAME:
        return checked.history
    raise GoldenMismatch(_account(checked))


def _account(checked: GoldenCheck) -> Iterator[Line]:
    yield from checked_lines(checked)
    if checked.verdict in (Verdict.NEW, Verdict.CHANGED):
        yield Line("it is written now: read what changed, and run the tests again")
    else:
        yield Line("if that is what it should be: pytest --recloser-update")
