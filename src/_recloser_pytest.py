"""What pytest loads at its start: the options, and fixtures that import recloser when they are used.

It stands outside the package because every run of pytest where recloser is installed loads it, and
a run that has nothing to do with circuit breakers need not wait for them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from recloser import ManualClock, MemoryLog
    from recloser.golden.pytest_plugin import GoldenFile, GoldenReplay

_SUFFIX: Final = ".golden.json"  # as recloser.golden.golden_file has it
_UPDATE: Final = "--recloser-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where golden files are, and how to ask that they be written anew."""
    parser.addini(
        "recloser_golden",
        type="paths",
        default=[],
        help="Folders or files, relative to the root: each *.golden.json there is a test.",
    )
    parser.getgroup("recloser").addoption(
        _UPDATE,
        action="store_true",
        help="Write golden files that differ from the histories of their traces anew; each that is "
        "written fails its test in that run, so that it is looked at.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to update on a CI server; collect golden files where all tests are collected."""
    if config.getoption(_UPDATE):
        from recloser.errors import GoldenError
        from recloser.golden.golden_pairs import refuse_in_ci

        try:
            refuse_in_ci(_UPDATE)
        except GoldenError as error:
            raise pytest.UsageError(str(error)) from error
    if _collects_all(config):
        folders = [Path(config.invocation_params.dir, argument) for argument in config.args]
        config.args += [
            str(path)
            for path in config.getini("recloser_golden")
            if not any(path.is_relative_to(folder) for folder in folders)
        ]


def _collects_all(config: pytest.Config) -> bool:
    is_chosen = config.args_source is pytest.Config.ArgsSource.ARGS
    return not is_chosen and config.invocation_params.dir == config.rootpath


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "GoldenFile | None":
    """Collect a golden file that is asked for or stands where the configuration says."""
    if not file_path.name.endswith(_SUFFIX):
        return None
    places = parent.config.getini("recloser_golden")
    if not parent.session.isinitpath(file_path) and not any(
        file_path.is_relative_to(place) for place in places
    ):
        return None
    from recloser.golden.pytest_plugin import GoldenFile

    return GoldenFile.from_parent(parent, path=file_path)


@pytest.fixture
def golden_replay(request: pytest.FixtureRequest) -> "GoldenReplay":
    """Replay a trace, hold it against the golden file beside it, and hand out its history.

    ``golden_replay("traces/outage")``: the path is relative to pytest's root. ``config=`` says what
    to drive imported traffic with when the golden file is written, and fails where that tells of
    other settings.
    """
    from recloser.golden.pytest_plugin import GoldenReplay

    return GoldenReplay(request.config.rootpath, is_update=bool(request.config.getoption(_UPDATE)))


@pytest.fixture
def manual_clock() -> "ManualClock":
    """A clock that stands still until the test moves it."""
    from recloser import ManualClock

    return ManualClock()


@pytest.fixture
def memory_log(manual_clock: "ManualClock") -> "Iterator[MemoryLog]":
    """A log in memory, timed by ``manual_clock``; ``replay(memory_log)`` gives its history."""
    from recloser import MemoryLog

    with MemoryLog(clock=manual_clock) as log:
        yield log
