"""Checks that a service starts on what a power loss left, and has all promised outcomes."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from power_loss.crashes import Crash
from recloser import CircuitBreaker, EventLog
from recloser.history.engine import replay
from recloser.log.reader import LogReader
from recloser.log.verification import verify

_MEMORY: Final = Path("/dev/shm")  # a folder in memory, where a sync costs nothing


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder, in memory if the system has such a file system."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def fault(crash: Crash, folder: Path) -> str | None:
    """Return the first fault after a crash; None if there is none.

    Args:
        crash: The loss of power.
        folder: The folder to write the state to; its old contents are removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    crash.put(folder)
    with _silence():
        return _fault_of(crash, folder / "log")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence the warnings about repaired and set-aside files."""
    logger = logging.getLogger("recloser")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _fault_of(crash: Crash, path: Path) -> str | None:
    try:
        with EventLog(path, durability="sync" if crash.calls % 2 else "batch") as log:
            CircuitBreaker("payments", log=log).force_open(actor="the judge")
    except Exception as error:  # noqa: BLE001  # whatever it is, the service does not start
        return f"it does not start: {type(error).__name__}: {error}"
    try:
        found = {getattr(event, "took", 0) for event in LogReader(path)}
    except Exception as error:  # noqa: BLE001
        return f"its log can't be read: {type(error).__name__}: {error}"
    missing = crash.promised - found
    if missing:
        return f"{len(missing)} promised outcomes are missing, such as {min(missing)}"
    damages = verify(path).damages
    if damages:
        return f"its log is damaged: {damages[0]}"
    differences = replay(path).differences
    if differences:
        return f"its history differs from its witnesses: {differences[0]}"
    return None
