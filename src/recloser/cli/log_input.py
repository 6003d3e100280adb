"""Opening the LOG of a command: standard input, imported calls, and how the log ends."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recloser.cli.options import GivenSettings
from recloser.cli.render.terminal import note, stages_progress
from recloser.core.config import CircuitBreakerConfig
from recloser.history.engine import is_traffic, replay
from recloser.history.history import History
from recloser.history.warps import Warp
from recloser.live.event_log import EventLog
from recloser.live.live_log import Log
from recloser.log.reader import PARQUET_SUFFIX, LogReader
from recloser.log.segment_reader import size_of
from recloser.log.tail import Tail

if TYPE_CHECKING:
    from recloser.simulate.recorded_calls import Traffic

_ONE_SEGMENT_BYTES = 1 << 40
_MANY_CALLS = 50_000


@contextmanager
def log_path(log: str) -> Iterator[Path]:
    """The path of a log; for ``-``, a temporary file with all of standard input."""
    if log != "-":
        yield Path(log)
        return
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
        spooled = Path(folder) / "stdin.jsonl"
        with spooled.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        yield spooled


def replayed(
    path: Path,
    given: GivenSettings,
    *,
    into: Log | None = None,
    otherwise: CircuitBreakerConfig | None = None,
    warps: Sequence[Warp] = (),
    jobs: int | None = None,
) -> History:
    """Replay a log; if it holds imported calls, drive breakers with them.

    Shows progress bars on a terminal, and notes on standard error how the log ends if its last
    events are not sealed.

    Args:
        path: The log.
        given: The settings for imported calls.
        into: A log to which the driven breakers write.
        otherwise: The settings for imported calls if none are given; by default, the defaults.
        warps: The clock errors to replay under.
        jobs: The largest number of processes that fold the log.
    """
    config = settings_for(path, given, otherwise)
    log = LogReader(path)
    is_read_by_lines = path.suffix != PARQUET_SUFFIX
    size = sum(map(size_of, log.listed())) if is_read_by_lines else 0
    with stages_progress(str(path), size) as stages:
        if stages is not None:
            log.on_read = stages.advance_reading
        history = replay(
            log,
            config=config,
            into=into,
            warps=warps,
            jobs=jobs,
            on_driven=None if stages is None else stages.show_driven,
        )
    log.on_read = None
    note_tail(path, history.tail)
    return history


def settings_for(
    path: Path, given: GivenSettings, otherwise: CircuitBreakerConfig | None = None
) -> CircuitBreakerConfig | None:
    """The settings to replay a log with, noted on standard error if they drive imported calls.

    Returns:
        The settings given, else ``otherwise``, else the defaults if the log holds imported calls,
        else None: a log that breakers wrote has its own.
    """
    config = given.read() if given.is_any else otherwise
    if is_traffic(LogReader(path)):
        config = CircuitBreakerConfig() if config is None else config
        note_settings(config)
    return config


@contextmanager
def driven_if_traffic(path: Path, given: GivenSettings) -> Iterator[tuple[Path, LogReader | None]]:
    """A log that breakers wrote, made in a temporary folder if ``path`` holds imported calls.

    Yields:
        The path of the log that breakers wrote; and the imported calls, or None if ``path`` is
        itself such a log.
    """
    traffic = LogReader(path)
    if not given.is_any and not is_traffic(traffic):
        yield path, None
        return
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
        driven = Path(folder) / "driven"
        # One segment only: where a second one began would depend on how fast the first was written.
        with EventLog(
            driven,
            durability="memory",
            tick_seconds=None,
            seal_seconds=None,
            segment_bytes=_ONE_SEGMENT_BYTES,
            host="",
        ) as log:
            replayed(path, given, into=log)
        yield driven, traffic


def calls_in(log: str, breaker: str | None) -> "Traffic":
    """Read the calls of a log, or those of one breaker.

    Notes on standard error if there are many calls and recloser is not compiled here.

    Raises:
        RecloserError: The log can't be read, or has no calls of that breaker.
    """
    from recloser.core import kernel
    from recloser.simulate.recorded_calls import read_traffic

    with log_path(log) as path:
        traffic = read_traffic(LogReader(path))
    if traffic.total > _MANY_CALLS and not kernel.IS_COMPILED:
        note("recloser runs without its compiled modules here, which takes much longer")
    return traffic if breaker is None else traffic.only(breaker)


def note_tail(path: Path | str, tail: Tail) -> None:
    """Note on standard error if a log ends in a torn line or in events without a seal."""
    if tail.torn:
        note(f"{path}: the last line was torn; its {tail.torn} bytes are left out")
    if tail.unsealed:
        note(f"{path}: the last {tail.unsealed} events are not sealed")


def note_settings(config: CircuitBreakerConfig) -> None:
    """Note on standard error the settings that imported calls are driven with."""
    note(f"imported traffic, driven with {_changed_settings(config)}")


def _changed_settings(config: CircuitBreakerConfig) -> str:
    defaults = CircuitBreakerConfig().to_mapping()
    changed = {n: value for n, value in config.to_mapping().items() if value != defaults.get(n)}
    if not changed:
        return "the default settings"
    return ", ".join(f"{name}={value}" for name, value in changed.items())
