"""The same history taken in another process, where hashes, and the zone, are other ones."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from recloser.core.config import CircuitBreakerConfig
from recloser.errors import RecloserError
from recloser.history.edge_sequence import EdgeSequence, SequencedEdge
from recloser.log.reader import LogReader
from recloser.process import child_python
from recloser.proof.baseline import taken_plainly

# South of the equator and half an hour off, in a form that needs no list of zones.
_ZONE: Final = "LHST-10:30LHDT-11,M10.1.0,M4.1.0"


@contextmanager
def other_process(path: Path, config: CircuitBreakerConfig) -> Iterator["OtherProcess"]:
    """Take the history of a log in a process of its own, while this one goes on.

    Args:
        path: The log.
        config: What to drive imported traffic with.
    """
    settings = msgspec.json.encode(config.to_mapping()).decode()
    environment = child_python.environment({"PYTHONHASHSEED": _another_seed(), "TZ": _ZONE})
    with (
        tempfile.TemporaryFile() as found,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603  # this very Python, on a module of ours
            child_python.command(__name__, str(path.absolute()), settings),
            stdin=subprocess.DEVNULL,
            stdout=found,
            stderr=said,
            env=environment,
        ) as process,
    ):
        try:
            yield OtherProcess(process, found, said)
        finally:
            process.kill()


class OtherProcess:
    """A process that takes the history of a log."""

    def __init__(self, process: subprocess.Popen[bytes], found: IO[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._found = found
        self._said = said

    def course(self) -> EdgeSequence:
        """What it found; returns when it has.

        Raises:
            RecloserError: It failed; the message has the last line that it said.
        """
        status = self._process.wait()
        if status:
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").splitlines() or [f"exit {status}"]
            raise RecloserError(f"the other process failed: {lines[-1]}")
        self._found.seek(0)
        course = EdgeSequence()
        for seq, breaker, line in map(_decode, self._found):
            course.add_edge(breaker, SequencedEdge(seq, line.encode()))
        return course


_decode: Final = msgspec.json.Decoder(tuple[int, str, str]).decode


def _another_seed() -> str:
    ours = os.environ.get("PYTHONHASHSEED", "random")
    return str((int(ours) + 1) % 2**32) if ours.isdecimal() else "1"


def _lines(path: Path, config: CircuitBreakerConfig) -> Iterator[bytes]:
    course = taken_plainly(LogReader(path), config).course
    for breaker, steps in course.items():
        for step in steps:
            yield msgspec.json.encode((step.seq, breaker, step.line.decode())) + b"\n"


def main() -> None:
    """Take the history of the log that the first argument names; it goes to standard output."""
    path, settings = sys.argv[1:]
    config = CircuitBreakerConfig.from_mapping(msgspec.json.decode(settings))
    sys.stdout.buffer.writelines(_lines(Path(path), config))
