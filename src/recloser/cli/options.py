"""Arguments that several commands share, and what is made of them."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from recloser.cli.render.terminal import note, stages_progress
from recloser.core.config import CircuitBreakerConfig
from recloser.core.settings import read_settings
from recloser.errors import ConfigError
from recloser.history.engine import is_traffic, replay
from recloser.history.history import History
from recloser.history.warps import Warp
from recloser.live.event_log import EventLog
from recloser.live.live_log import Log
from recloser.log.reader import PARQUET_SUFFIX, LogReader
from recloser.log.segment_reader import size_of
from recloser.log.tail import Tail

_ONE_SEGMENT = 1 << 40

log_argument = click.argument("log", metavar="LOG")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@frozen
class Given:
    """The settings that a command is given.

    Attributes:
        path: The file of ``--config``.
        assignments: The settings of ``--set``.
        source: What ``--config-from`` names.
    """

    path: Path | None = None
    assignments: Sequence[str] = ()
    source: str | None = None

    @property
    def has_file(self) -> bool:
        """Whether a file is given, which holds all settings."""
        return self.path is not None or self.source is not None

    @property
    def is_any(self) -> bool:
        """Whether any settings are given."""
        return self.has_file or bool(self.assignments)

    def read(self, base: Mapping[str, object] | None = None) -> CircuitBreakerConfig:
        """The settings of the file, or else of ``base``, then of ``--set``.

        Settings of another library that have no counterpart here are named on standard error.

        Raises:
            ConfigError: They can't be read, or two files are given.
        """
        if self.source is None:
            return read_settings(self.path, self.assignments, base)
        if self.path is not None:
            raise ConfigError("--config and --config-from can't be given together")
        from recloser.importers.other_libraries.foreign_settings import read_foreign

        file, _, name = self.source.partition("#")
        foreign = read_foreign(Path(file), name or None)
        for line in foreign.left_out:
            note(f"{file}: {line}")
        return read_settings(None, self.assignments, foreign.settings)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--config`` and ``--set``: what to drive imported traffic with, as ``given``."""

    @click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings for imported traffic, in TOML or JSON.",
    )
    @click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="One setting for imported traffic, after the file; repeatable.",
    )
    @wraps(function)
    def command(
        *, path: Path | None, assignments: Sequence[str], source: str | None = None, **rest: object
    ) -> object:
        return function(given=Given(path, assignments, source), **rest)

    return command


source_option = click.option(
    "--config-from",
    "source",
    metavar="FILE[#NAME]",
    help="Settings of resilience4j, Polly or Envoy, of the instance NAME where there are several; "
    "before --set.",
)


@contextmanager
def log_path(log: str) -> Iterator[Path]:
    """The path of a log; ``-`` is standard input, kept in a file while it is worked on."""
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
    given: Given,
    *,
    into: Log | None = None,
    otherwise: CircuitBreakerConfig | None = None,
    warps: Sequence[Warp] = (),
    jobs: int | None = None,
) -> History:
    """The history of a log, driven with the settings given if it is imported traffic.

    If none are given it is driven with ``otherwise``, or else the defaults. On a terminal, bars show
    how far it has come.
    """
    config = settings_for(path, given, otherwise)
    log = LogReader(path)
    is_read_by_lines = path.suffix != PARQUET_SUFFIX
    size = sum(map(size_of, log.listed())) if is_read_by_lines else 0
    with stages_progress(str(path), size) as stages:
        if stages is not None:
            log.on_read = stages.read
        history = replay(
            log,
            config=config,
            into=into,
            warps=warps,
            jobs=jobs,
            on_driven=None if stages is None else stages.driven,
        )
    log.on_read = None
    return noted(path, history)


def settings_for(
    path: Path, given: Given, otherwise: CircuitBreakerConfig | None = None
) -> CircuitBreakerConfig | None:
    """The settings given, said if a log is traffic to be driven with them; None if none are."""
    config = given.read() if given.is_any else otherwise
    if is_traffic(LogReader(path)):
        config = CircuitBreakerConfig() if config is None else config
        note(f"imported traffic, driven with {settings_told(config)}")
    return config


@contextmanager
def driven_if_traffic(path: Path, given: Given) -> Iterator[tuple[Path, LogReader | None]]:
    """A log that breakers wrote: the one given, or one driven by it and the traffic in it."""
    traffic = LogReader(path)
    if not given.is_any and not is_traffic(traffic):
        yield path, None
        return
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
        driven = Path(folder) / "driven"
        # One segment: where a second one begins would depend on when the first was written.
        with EventLog(
            driven,
            durability="memory",
            tick_seconds=None,
            seal_seconds=None,
            segment_bytes=_ONE_SEGMENT,
            host="",
        ) as log:
            replayed(path, given, into=log)
        yield driven, traffic


def noted(path: Path, history: History) -> History:
    """The history, with a word on how its log ends where that is not a seal."""
    note_tail(path, history.tail)
    return history


def note_tail(path: Path | str, tail: Tail) -> None:
    """Say how a log ends, where that is not a seal."""
    if tail.torn:
        note(f"{path}: the last line was torn; its {tail.torn} bytes are left out")
    if tail.unsealed:
        note(f"{path}: the last {tail.unsealed} events are not sealed")


def settings_told(config: CircuitBreakerConfig) -> str:
    """The settings that are not the defaults, on one line."""
    defaults = CircuitBreakerConfig().to_mapping()
    changed = {n: value for n, value in config.to_mapping().items() if value != defaults.get(n)}
    if not changed:
        return "the default settings"
    return ", ".join(f"{name}={value}" for name, value in changed.items())
