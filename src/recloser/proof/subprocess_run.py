"""Compute a history in a process with another hash seed and time zone."""

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
from recloser.proof.baseline import read_baseline

# South of the equator and half an hour off UTC's hours. The rules are written out, so that the
# zone needs no time zone database.
_TIME_ZONE: Final = "LHST-10:30LHDT-11,M10.1.0,M4.1.0"


@contextmanager
def start_subprocess(path: Path, config: CircuitBreakerConfig) -> Iterator["SubprocessRun"]:
    """Start a process that computes the history of a log; it runs beside this one.

    Args:
        path: The log.
        config: The settings of breakers that are driven with imported traffic.
    """
    settings = msgspec.json.encode(config.to_mapping()).decode()
    environment = child_python.environment(
        {"PYTHONHASHSEED": _another_hash_seed(), "TZ": _TIME_ZONE}
    )
    with (
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(  # noqa: S603  # the Python that runs this, with a module of this package
            child_python.command(__name__, str(path.absolute()), settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
        ) as process,
    ):
        try:
            yield SubprocessRun(process, stdout, stderr)
        finally:
            process.kill()


class SubprocessRun:
    """A process that computes the history of a log."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        self._process = process
        self._stdout = stdout
        self._stderr = stderr

    def edges(self) -> EdgeSequence:
        """Wait for the process to end and return the edges that it found.

        Raises:
            RecloserError: The process failed; the message has the last line of its stderr.
        """
        status = self._process.wait()
        if status:
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").splitlines()
            raise RecloserError(
                f"the other process failed: {lines[-1] if lines else f'exit {status}'}"
            )
        self._stdout.seek(0)
        edges = EdgeSequence()
        for seq, breaker, line in map(_decode, self._stdout):
            edges.add_edge(breaker, SequencedEdge(seq, line.encode()))
        return edges


_decode: Final = msgspec.json.Decoder(tuple[int, str, str]).decode


def _another_hash_seed() -> str:
    ours = os.environ.get("PYTHONHASHSEED", "random")
    return str((int(ours) + 1) % 2**32) if ours.isdecimal() else "1"


def _output_lines(path: Path, config: CircuitBreakerConfig) -> Iterator[bytes]:
    edges = read_baseline(LogReader(path), config).edges
    for breaker, steps in edges.items():
        for step in steps:
            yield msgspec.json.encode((step.seq, breaker, step.line.decode())) + b"\n"


def main() -> None:
    """Write the edges of a log to stdout.

    The arguments of the process are the log's path and the settings as JSON.
    """
    path, settings = sys.argv[1:]
    config = CircuitBreakerConfig.from_mapping(msgspec.json.decode(settings))
    sys.stdout.buffer.writelines(_output_lines(Path(path), config))
