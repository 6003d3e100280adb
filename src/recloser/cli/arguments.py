"""Arguments that several commands share, and what is made of them."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from recloser.cli.terminal import note, stages_progress
from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.log.reader import PARQUET_SUFFIX, LogReader, size_of
from recloser.log.sequencer import Log
from recloser.log.tail import Tail
from recloser.log.writer import EventLog
from recloser.replay.engine import is_traffic, replay
from recloser.replay.history import History
from recloser.replay.warps import Warp
from recloser.settings import read_settings

F = TypeVar("F", bound=Callable[..., Any])

_ONE_SEGMENT = 1 << 40

log_argument = click.argument("log", metavar="LOG")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def settings_options(function: F) -> F:
    """``--config`` and ``--set``: what to drive imported traffic with."""
    function = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="One setting for imported traffic, after the file; repeatable.",
    )(function)
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings for imported traffic, in TOML or JSON.",
    )(function)


source_option = click.option(
    "--config-from",
    metavar="FILE[#NAME]",
    help="Settings of resilience4j, Polly or Envoy, of the instance NAME where there are several; "
    "before --set.",
)


def read_config(
    path: Path | None,
    assignments: Sequence[str],
    config_from: str | None = None,
    base: Mapping[str, object] | None = None,
) -> CircuitBreakerConfig:
    """The settings of ``--config`` or ``--config-from``, then ``--set``.

    What another library's settings say that ours can't is told on standard error.

    Raises:
        ConfigError: They can't be read, or both are given.
    """
    if config_from is None:
        return read_settings(path, assignments, base)
    if path is not None:
        raise ConfigError("--config and --config-from can't be given together")
    from recloser.importers.configs import read_foreign

    file, _, name = config_from.partition("#")
    foreign = read_foreign(Path(file), name or None)
    for line in foreign.left_out:
        note(f"{file}: {line}")
    return read_settings(None, assignments, foreign.settings)


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
    config_path: Path | None,
    assignments: Sequence[str],
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
    config = settings_for(path, config_path, assignments, otherwise)
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
    path: Path,
    config_path: Path | None,
    assignments: Sequence[str],
    otherwise: CircuitBreakerConfig | None = None,
) -> CircuitBreakerConfig | None:
    """The settings given, said if a log is traffic to be driven with them; None if none are."""
    config = otherwise
    if config_path is not None or assignments:
        config = read_settings(config_path, assignments)
    if is_traffic(LogReader(path)):
        config = CircuitBreakerConfig() if config is None else config
        note(f"imported traffic, driven with {settings_told(config)}")
    return config


@contextmanager
def driven_if_traffic(
    path: Path, config_path: Path | None, assignments: Sequence[str]
) -> Iterator[tuple[Path, LogReader | None]]:
    """A log that breakers wrote: the one given, or one driven by it and the traffic in it."""
    traffic = LogReader(path)
    if config_path is None and not assignments and not is_traffic(traffic):
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
            replayed(path, config_path, assignments, into=log)
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
