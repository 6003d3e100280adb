"""How long it takes to import recloser, its peers and its own dependencies, and to start its command."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from bench.adapters import Adapter
from bench.effort import Effort
from bench.results import Group, Series

MILLISECONDS: Final = "ms"
DEPENDENCIES: Final = "attrs, transitions, msgspec"
RECLOSER: Final = "recloser"
LIBRARIES: Final = "python -c 'import click, rich'"
VERSION: Final = "recloser --version"

_COMMAND: Final = "from recloser.cli import run; run()"


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Milliseconds in new processes, which take turns."""
    imports = {DEPENDENCIES: DEPENDENCIES, RECLOSER: RECLOSER}
    imports |= {adapter.name: adapter.module for adapter in adapters if adapter.module != RECLOSER}
    yield Group(
        "import",
        "Import",
        MILLISECONDS,
        DEPENDENCIES,
        _interleaved(
            [(name, partial(_import, modules)) for name, modules in imports.items()], effort
        ),
    )
    yield Group(
        "start",
        "Start of the command",
        MILLISECONDS,
        LIBRARIES,
        _interleaved(
            [
                (LIBRARIES, partial(_process, "import click, rich")),
                (VERSION, partial(_process, _COMMAND, "--version")),
            ],
            effort,
        ),
    )


def _interleaved(
    works: Sequence[tuple[str, Callable[[], float]]], effort: Effort
) -> tuple[Series, ...]:
    for _, work in works:
        work()  # which writes the compiled modules
    rounds = [[work() for _, work in works] for _ in range(effort.starts)]
    return tuple(
        Series(name, samples)
        for (name, _), samples in zip(works, zip(*rounds, strict=True), strict=True)
    )


def _import(modules: str) -> float:
    """Milliseconds that the import takes within its process."""
    code = (
        "import time; started = time.perf_counter(); "
        f"import {modules}; print(1000 * (time.perf_counter() - started))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def _process(code: str, *arguments: str) -> float:
    """Milliseconds from the start of the process to its end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, check=True)
    return 1000 * (time.perf_counter() - started)
