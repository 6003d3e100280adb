"""The memory of one idle breaker; each library is measured in a process of its own."""

import asyncio
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.adapters import FEW, Adapter, nothing, nothing_awaited
from bench.effort import Effort
from bench.ours import DISK, WAYS
from bench.partner import INTERPRETED, Partner
from bench.peers import PEERS
from bench.results import Group, Series

BYTES: Final = "bytes a breaker"
_TOOLS: Final = Path(__file__).parent.parent
_CHILD: Final = "import sys; from bench.memory import bytes_each; print(bytes_each(*sys.argv[1:]))"
_FIRST: Final = 10
"""Breakers that are made first and not counted, so that shared data is not attributed to one."""


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Measure the bytes of a breaker that is idle after its first call, with ``tracemalloc``."""
    series = [
        Series(adapter.name, (_in_a_process(adapter.name, effort.breakers, os.environ),))
        for adapter in adapters
    ]
    if isinstance(partner := effort.partner, Partner):
        series += [
            Series(
                f"{way.name}{INTERPRETED}",
                (_in_a_process(way.name, effort.breakers, partner.environment),),
            )
            for way in WAYS
        ]
    yield Group(
        "memory", f"Memory, each of {effort.breakers:,} breakers", BYTES, DISK, tuple(series)
    )


def _in_a_process(name: str, count: int, environment: Mapping[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, name, str(count)],
        env={**environment, "PYTHONPATH": os.pathsep.join(_path(environment))},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def _path(environment: Mapping[str, str]) -> list[str]:
    return [*filter(None, [environment.get("PYTHONPATH")]), str(_TOOLS)]


def bytes_each(name: str, number: str) -> float:
    """The bytes that each of ``number`` breakers adds in this process."""
    adapter = next(adapter for adapter in (*WAYS, *PEERS) if adapter.name == name)
    first = _made(adapter, _FIRST)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = _made(adapter, int(number))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del first, made  # they had to live until the memory was read
    return (after - before) / int(number)


def _made(adapter: Adapter, count: int) -> object:
    """Make breakers and let each admit one call."""
    if adapter.many is not None:
        return adapter.many(count)
    if adapter.sync is not None:
        breakers = []
        for _ in range(count):
            protection = adapter.sync(FEW)
            protection.protect(nothing)()
            breakers.append(protection.breaker)
        return breakers
    assert adapter.asynchronous is not None
    return asyncio.run(_made_awaiting(adapter, count))


async def _made_awaiting(adapter: Adapter, count: int) -> list[object]:
    assert adapter.asynchronous is not None
    breakers = []
    for _ in range(count):
        protection = adapter.asynchronous(FEW)
        await protection.protect(nothing_awaited)()
        breakers.append(protection.breaker)
    return breakers
