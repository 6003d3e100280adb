"""How long it takes to import recloser, its peers and its own dependencies, and to start its command."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from bench.adapters import Adapter
from bench.effort import Effort
from bench.partner import INTERPRETED, Partner
from bench.results import Group, Series

MILLISECONDS: Final = "ms"
DEPENDENCIES: Final = "attrs, transitions, msgspec"
RECLOSER: Final = "recloser"
LIBRARIES: Final = "python -c 'import click, rich'"
VERSION: Final = "recloser --version"

_COMMAND: Final = "from recloser.cli import run; run()"


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Measure milliseconds in new processes, which alternate."""
    imports = {DEPENDENCIES: DEPENDENCIES, RECLOSER: RECLOSER}
    imports |= {adapter.name: adapter.module for adapter in adapters if adapter.module != RECLOSER}
    importing = [(name, partial(_import, os.environ, of)) for name, of in imports.items()]
    commands = [
        (LIBRARIES, partial(_process, os.environ, "import click, rich")),
        (VERSION, partial(_process, os.environ, _COMMAND, "--version")),
    ]
    if isinstance(partner := effort.partner, Partner):
        pure = partner.environment
        importing.append((f"{RECLOSER}{INTERPRETED}", partial(_import, pure, RECLOSER)))
        commands.append((f"{VERSION}{INTERPRETED}", partial(_process, pure, _COMMAND, "--version")))
    series = _interleaved(importing, effort)
    yield Group("import", "Import", MILLISECONDS, DEPENDENCIES, series)
    series = _interleaved(commands, effort)
    yield Group("start", "Start of the command", MILLISECONDS, LIBRARIES, series)


def _interleaved(
    works: Sequence[tuple[str, Callable[[], float]]], effort: Effort
) -> tuple[Series, ...]:
    for _, work in works:
        work()  # the first time writes the bytecode caches
    rounds = [[work() for _, work in works] for _ in range(effort.starts)]
    return tuple(
        Series(name, samples)
        for (name, _), samples in zip(works, zip(*rounds, strict=True), strict=True)
    )


def _import(environment: Mapping[str, str], modules: str) -> float:
    """Milliseconds of an import, measured within its process."""
    code = (
        "import time; started = time.perf_counter(); "
        f"import {modules}; print(1000 * (time.perf_counter() - started))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def _process(environment: Mapping[str, str], code: str, *arguments: str) -> float:
    """Milliseconds from the start of the process to its end."""
    started = time.perf_counter()
    command = [sys.executable, "-P", "-c", code, *arguments]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return 1000 * (time.perf_counter() - started)
