"""The options and fixtures of the pytest plugin.

Pytest loads this module in every run in every environment that has recloser installed. It is outside
the package so that runs that have nothing to do with circuit breakers don't wait for its import.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from recloser import ManualClock, MemoryLog
    from recloser.golden.pytest_plugin import GoldenFile, GoldenReplay

_SUFFIX: Final = ".golden.json"  # the same as in recloser.golden.golden_file
_UPDATE: Final = "--recloser-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``recloser_golden`` and the option ``--recloser-update``."""
    parser.addini(
        "recloser_golden",
        type="paths",
        default=[],
        help="Folders or files, relative to the root directory: each *.golden.json there is a test.",
    )
    parser.getgroup("recloser").addoption(
        _UPDATE,
        action="store_true",
        help="Rewrite golden files that differ from the histories of their traces. The test of each "
        "rewritten file fails in that run, so that somebody reviews the change.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to update on a CI server; add the golden files to a run of all tests."""
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
    """Collect a golden file named on the command line or in ``recloser_golden``."""
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
    """A function that replays a trace and checks it against its golden file.

    Use it as ``golden_replay("traces/outage")``; the path is relative to pytest's root directory. For
    imported traffic, ``config=`` gives the settings that the golden file is written with; the test
    fails if the golden file has other settings.
    """
    from recloser.golden.pytest_plugin import GoldenReplay

    return GoldenReplay(request.config.rootpath, is_update=bool(request.config.getoption(_UPDATE)))


@pytest.fixture
def manual_clock() -> "ManualClock":
    """A clock that only moves when the test moves it."""
    from recloser import ManualClock

    return ManualClock()


@pytest.fixture
def memory_log(manual_clock: "ManualClock") -> "Iterator[MemoryLog]":
    """A log in memory that uses ``manual_clock``, for ``replay(memory_log)``."""
    from recloser import MemoryLog

    with MemoryLog(clock=manual_clock) as log:
        yield log
