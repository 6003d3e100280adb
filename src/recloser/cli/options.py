"""Options and arguments that several commands share."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from recloser.cli.dask_engine import DaskEngine
from recloser.cli.render.terminal import note
from recloser.core.config import CircuitBreakerConfig
from recloser.core.settings import read_settings
from recloser.errors import ConfigError


def examples(*commands: str) -> str:
    """The epilog of a help text that lists example commands, one per line."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


log_argument = click.argument("log", metavar="LOG")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON object."
)

one_breaker_option = click.option(
    "--breaker", metavar="NAME", help="Use only the calls of this breaker; by default, of all."
)

config_from_option = click.option(
    "--config-from",
    "foreign",
    metavar="FILE[#NAME]",
    help="A settings file of resilience4j or Polly, or Envoy's outlier detection, instead of "
    "--config; #NAME chooses one of several instances. Settings without a counterpart are listed "
    "on standard error. --set is applied after it.",
)


@frozen
class GivenSettings:
    """The breaker settings that the options of one command give.

    Attributes:
        path: The file of ``--config``.
        assignments: Every ``NAME=VALUE`` of ``--set``, applied after the file.
        foreign: The ``FILE[#NAME]`` of ``--config-from``.
    """

    path: Path | None = None
    assignments: Sequence[str] = ()
    foreign: str | None = None

    @property
    def has_file(self) -> bool:
        """Whether a file is given, which stands for a complete configuration."""
        return self.path is not None or self.foreign is not None

    @property
    def is_any(self) -> bool:
        """Whether the command has at least one of the options."""
        return self.has_file or bool(self.assignments)

    def read(self, base: Mapping[str, object] | None = None) -> CircuitBreakerConfig:
        """Make the configuration from the file, or from ``base`` without one, and ``--set``.

        Settings of another library that have no counterpart here are named on standard error.

        Raises:
            ConfigError: The settings can't be read, or two files are given.
        """
        if self.foreign is None:
            return read_settings(self.path, self.assignments, base)
        if self.path is not None:
            raise ConfigError("--config and --config-from can't be given together")
        from recloser.importers.other_libraries.foreign_settings import read_foreign

        file, _, name = self.foreign.partition("#")
        found = read_foreign(Path(file), name or None)
        for line in found.left_out:
            note(f"{file}: {line}")
        return read_settings(None, self.assignments, found.settings)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config`` and ``--set``; the command gets them as ``given``, a ``GivenSettings``."""

    @click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A TOML or JSON file with breaker settings; a setting that is not in it has its default.",
    )
    @click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="One setting, such as failure_threshold=3 or 'window={size=50, failure_rate=0.5}', "
        "applied after the file. Can be repeated.",
    )
    @wraps(function)
    def command(
        *, path: Path | None, assignments: Sequence[str], foreign: str | None = None, **rest: object
    ) -> object:
        return function(given=GivenSettings(path, assignments, foreign), **rest)

    return command


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--engine``, ``--scheduler`` and ``--workers``; the command gets them as ``engine``.

    ``engine`` is a ``DaskEngine``, or None without ``--engine``.
    """

    @click.option(
        "--engine",
        "name",
        type=click.Choice(["dask"]),
        help="Work on many exported logs at once, on dask. LOG is then a folder of Parquet files or "
        "a quoted pattern such as 'logs/*.parquet', at a path or any URL that fsspec knows.",
    )
    @click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="The address of a running dask scheduler, such as tcp://10.0.0.5:8786; by default, "
        "workers are started on this machine.",
    )
    @click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="The number of worker processes to start without --scheduler; by default, one per "
        "processor.",
    )
    @wraps(function)
    def command(
        *, name: str | None, scheduler: str | None, workers: int | None, **rest: object
    ) -> object:
        if name is None and (scheduler is not None or workers is not None):
            raise click.UsageError("--scheduler and --workers need --engine dask")
        if scheduler is not None and workers is not None:
            raise click.UsageError(
                "--workers starts workers and --scheduler has its own; give one of them"
            )
        return function(engine=None if name is None else DaskEngine(scheduler, workers), **rest)

    return command
