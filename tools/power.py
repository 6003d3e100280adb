"""Power losses: every state that one may leave on disk must open, with all promised outcomes.

    python tools/power.py [--states N] [--seed S] [--jobs N]

Services are run under strace over rotation, compression, retention, SIGKILL, bad bytes, repair and
restarts under each durability. From the system calls that they made, states are drawn that a disk
may hold after a loss of power: each file a prefix of what was written since its last sync, or some
pages of it and not others; names all, as they were synced, or some of their changes. A service must
start on each of them, and what an earlier one acknowledged under ``sync``, or closed its log on under
``batch``, must be there. From some states another service is started and recorded, for a second
loss of power. Exit status 1 means that some state violated this.
"""

import multiprocessing
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from power_loss.crashes import Crash, crashes, held_by, whole
from power_loss.judge import fault, scratch
from power_loss.lives import Life
from power_loss.trace import Call, LifeError, UnknownCallError, record

_PER_CALL: Final = 12
_SHOWN: Final = 10

SERVICES: Final[dict[str, Sequence[Life]]] = {
    "kill -9, then sync": (
        Life(1, "batch", 40, is_killed=True),
        Life(2, "sync", 12),
        Life(3, "sync", 12, is_killed=True),
        Life(4, "batch", 30, is_killed=True),
        Life(5, "sync", 6),
    ),
    "rotation and compression": (
        Life(1, "sync", 60, segment_bytes=2048),
        Life(2, "batch", 80, segment_bytes=2048, is_killed=True),
        Life(3, "sync", 40, segment_bytes=2048, is_killed=True),
        Life(4, "sync", 10, segment_bytes=2048),
    ),
    "retention": (
        Life(1, "sync", 60, segment_bytes=2048, keep_bytes=6000),
        Life(2, "batch", 60, segment_bytes=2048, keep_bytes=6000),
        Life(3, "sync", 40, segment_bytes=2048, keep_bytes=6000, is_killed=True),
        Life(4, "sync", 10, segment_bytes=2048, keep_bytes=6000),
    ),
    "memory, then sync": (
        Life(1, "memory", 150, segment_bytes=16384, is_killed=True),
        Life(2, "memory", 150, segment_bytes=16384, is_killed=True),
        Life(3, "sync", 20),
        Life(4, "memory", 60, is_killed=True),
        Life(5, "sync", 10, is_killed=True),
    ),
    "large batches": (
        Life(1, "batch", 400, segment_bytes=1 << 20, is_killed=True),
        Life(2, "memory", 400, segment_bytes=1 << 20, is_killed=True),
        Life(3, "sync", 20, is_killed=True),
        Life(4, "batch", 200, segment_bytes=1 << 20),
    ),
    "repair": (
        Life(1, "memory", 60, segment_bytes=2048),
        Life(2, "sync", 30, segment_bytes=4096),
        Life(3, work="spoil"),
        Life(4, work="repair"),
        Life(5, "sync", 20, is_killed=True),
    ),
    "bad bytes": (
        Life(1, "memory", 60, segment_bytes=2048),
        Life(2, "sync", 30, segment_bytes=4096),
        Life(3, work="spoil"),
        Life(4, "sync", 20, is_killed=True),
        Life(5, "batch", 20),
    ),
}


QUICK: Final[dict[str, Sequence[Life]]] = {
    "kill -9, then sync": (
        Life(1, "batch", 30, is_killed=True),
        Life(2, "sync", 6, is_killed=True),
        Life(3, "sync", 4),
    ),
    "rotation, compression and retention": (
        Life(1, "sync", 40, segment_bytes=2048, keep_bytes=6000),
        Life(2, "sync", 10, segment_bytes=2048, keep_bytes=6000, is_killed=True),
    ),
    "memory, then sync": (
        Life(1, "memory", 90, segment_bytes=16384, is_killed=True),
        Life(2, "sync", 6),
    ),
    "repair": (
        Life(1, "memory", 40, segment_bytes=2048),
        Life(2, "sync", 6),
        Life(3, work="spoil"),
        Life(4, work="repair"),
    ),
    "bad bytes": (
        Life(1, "memory", 40, segment_bytes=2048),
        Life(2, work="spoil"),
        Life(3, "sync", 8, is_killed=True),
    ),
}
"""Shorter services, which the tests run."""


def recorded(lives: Sequence[Life], begun: Crash | None = None) -> list[Call]:
    """Record the system calls of services that run one after another on one log.

    Raises:
        UnknownCallError: A service changed its files in a way that is not in the record.
    """
    calls: list[Call] = []
    with scratch() as folder:
        root = folder / "disk"
        root.mkdir()
        if begun is not None:
            begun.put(root)
        for life in lives:
            calls += record(root, life)
            if whole(calls, begun) != held_by(root):
                raise UnknownCallError(f"{life}: its record is not what it did to its files")
    return calls


def distinct(drawn: Iterator[Crash], seen: set[bytes]) -> Iterator[Crash]:
    """Yield the crashes that are not yet in ``seen``, and add them to it."""
    for crash in drawn:
        digest = crash.digest()
        if digest not in seen:
            seen.add(digest)
            yield crash


def drawn_from(
    lives: Sequence[Life], seed: int, states: int, per_call: int, second: int
) -> list[Crash]:
    """Draw distinct crashes of one service, spread evenly over its system calls.

    Args:
        lives: The services that run one after another on the log.
        seed: The seed of all random choices.
        states: The largest number of crashes.
        per_call: How many crashes to draw after each call, before duplicates are left out.
        second: From how many of them to start another service, for a second crash.
    """
    chance = random.Random(seed)
    seen: set[bytes] = set()
    found = list(distinct(crashes(recorded(lives), seed, per_call), seen))
    first = found if len(found) <= states else chance.sample(found, states)
    for number, begun in enumerate(chance.sample(found, min(second, len(found)))):
        life = Life(10 + number, "sync", 5, is_killed=bool(number % 2))
        try:
            calls = recorded([life], begun)
        except LifeError:
            first.append(begun)  # the judge reports what is wrong with it
            continue
        again = crashes(calls, seed + number, per_call, begun)
        more = list(distinct(again, seen))
        first += chance.sample(more, min(len(more), max(1, states // second)))
    return first


def judged(all_crashes: Sequence[Crash], jobs: int) -> Iterator[str | None]:
    """Yield the fault found after each crash, in their order; None if there is none."""
    with scratch() as folder:
        if jobs == 1:
            yield from (fault(crash, folder / "state") for crash in all_crashes)
            return
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            yield from pool.imap(partial(_fault_in, folder), all_crashes, chunksize=20)


def _fault_in(folder: Path, crash: Crash) -> str | None:
    return fault(crash, folder / str(os.getpid()))


def _shortened(text: str) -> str:
    """The text of a fault without the numbers that differ between states."""
    return re.sub(r"\b[0-9a-f]{16}\b|\S*/log/|\d+", "#", text)


@click.command(help=__doc__)
@click.option("--states", default=8000, show_default=True, help="How many in all, about.")
@click.option("--seed", default=1, show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True)
@click.option("--only", type=click.Choice(list(SERVICES)), help="The only service.")
def main(*, states: int, seed: int, jobs: int, only: str | None) -> None:
    """Draw the states, judge each, and print the faults."""
    if shutil.which("strace") is None:
        raise click.ClickException("strace is not installed; it records the system calls")
    began = time.monotonic()
    wrong = total = 0
    names = list(SERVICES) if only is None else [only]
    for name in names:
        share = states // (2 * len(names))
        found = drawn_from(SERVICES[name], seed, share, _PER_CALL, second=12)
        faults = [each for each in judged(found, jobs) if each is not None]
        click.echo(f"{name}: {len(found):,} states, {len(faults):,} wrong")
        for text in sorted(set(map(_shortened, faults)))[:_SHOWN]:
            click.echo(f"  {text}")
        wrong += len(faults)
        total += len(found)
    click.echo(
        f"{total:,} distinct states in {time.monotonic() - began:.0f} s: {wrong:,} of them wrong"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
