"""Recloser without compiled modules, in a process that takes turns with this one.

One process can't import two builds of one package. So a second process runs the same measurements
with a copy of the package that has no compiled modules. Each time subjects take turns, it offers its
own subjects and times one when it is asked to. Whatever else the machine does then falls on both
builds alike.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import IO, Any, Final, Protocol

from attrs import frozen

import recloser
from recloser.process.from_sources import interpreted as interpreted_modules

INTERPRETED: Final = ", interpreted"
"""The end of the names of series of the interpreted build."""

OURS: Final = "recloser"
"""The beginning of the names of recloser's own subjects."""

_TOOLS: Final = Path(__file__).parent.parent
_PACKAGE: Final = Path(recloser.__file__).parent
_CHILD: Final = "import sys; from bench.command import serve; serve(sys.argv[1:])"


class PartnerError(Exception):
    """The process of the interpreted build ended too early."""


@frozen
class Offer:
    """A subject of the partner's that can be timed.

    Attributes:
        index: Its index among the subjects of the partner.
        name: Its name in the partner.
        size: The factor by which its turns are longer; for work, the number of items in a turn.
    """

    index: int
    name: str
    size: int


@frozen
class Turn:
    """The measurements of one turn.

    Attributes:
        wall: How long it took, in nanoseconds; for work, in seconds.
        cpu: Nanoseconds of the calling thread's processor time.
        counts: Numbers of calls by the name of the counter: lost, rejected.
    """

    wall: float
    cpu: float
    counts: Mapping[str, int]


class Timed(Protocol):
    """A subject that takes turns."""

    @property
    def name(self) -> str:
        """The name of its series."""

    @property
    def size(self) -> int:
        """The factor by which its turns are longer; for work, the number of items in a turn."""

    def turn(self, count: int) -> Turn:
        """Run one turn of ``count`` calls; work ignores the count and does all its items."""


class Partner:
    """The process of the other build, as the one that measures sees it.

    Args:
        process: The process.
        environment: The environment variables that give a new process the same build.
    """

    def __init__(self, process: "subprocess.Popen[str]", environment: Mapping[str, str]) -> None:
        self._process = process
        self.environment = environment

    def offers(self) -> list[Timed]:
        """The subjects of the partner, which then waits for turns until it is dismissed."""
        return [_Remote(self, Offer(*offer)) for offer in self._answer()]

    def turn(self, index: int, count: int) -> Turn:
        """Ask the partner to run a turn of one subject, and wait for the result."""
        self._say([index, count])
        return Turn(*self._answer())

    def dismiss(self) -> None:
        """End the turns, so that the partner goes on to the next measurement."""
        self._say(None)

    def _say(self, request: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PartnerError("the interpreted recloser ended while others took turns") from error

    def _answer(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PartnerError("the interpreted recloser ended while others took turns")
        answer: list[Any] = json.loads(line)
        return answer


@frozen
class _Remote:
    """A subject of the partner's."""

    partner: Partner
    offer: Offer

    @property
    def name(self) -> str:
        return f"{self.offer.name}{INTERPRETED}"

    @property
    def size(self) -> int:
        return self.offer.size

    def turn(self, count: int) -> Turn:
        return self.partner.turn(self.offer.index, count)


class Service:
    """The partner's own side: it times its subjects when the process that measures asks for it.

    Args:
        requests: The stream that it reads requests from.
        answers: The stream that it writes answers to.
    """

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def serve(self, subjects: Sequence[Timed]) -> None:
        """Offer the subjects of recloser, and time them until the turns end."""
        offers = [
            (index, subject.name, subject.size)
            for index, subject in enumerate(subjects)
            if subject.name.startswith(OURS)
        ]
        self._tell(offers)
        while (request := self._request()) is not None:
            index, count = request
            turn = subjects[index].turn(count)
            self._tell([turn.wall, turn.cpu, dict(turn.counts)])

    def _request(self) -> list[int] | None:
        line = self._requests.readline()
        if not line:
            raise SystemExit(1)  # the process that measures was ended
        request: list[int] | None = json.loads(line)
        return request

    def _tell(self, answer: object) -> None:
        self._answers.write(f"{json.dumps(answer)}\n")
        self._answers.flush()


def compiled_modules() -> list[str]:
    """The names of the compiled modules of the recloser that is imported."""
    found = [
        path.relative_to(_PACKAGE).with_name(path.name.partition(".")[0])
        for path in _PACKAGE.rglob("*")
        if path.name.endswith(tuple(EXTENSION_SUFFIXES))
    ]
    names = {".".join((_PACKAGE.name, *path.parts)) for path in found}
    return sorted(names - set(interpreted_modules()))


@contextmanager
def interpreted(folder: Path, arguments: Sequence[str]) -> Iterator[Partner]:
    """Start a process that runs the same measurements with a recloser without compiled modules.

    Args:
        folder: Where the copy of the package is put.
        arguments: The arguments of ``bench.command.serve``.

    Raises:
        PartnerError: The process failed.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_copied(folder)), str(_TOOLS)]),
        "RECLOSER_PURE": "1",
    }
    command = [sys.executable, "-P", "-W", "ignore", "-c", _CHILD, *arguments]
    with subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Partner(process, environment)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise PartnerError(f"the interpreted recloser ended with status {process.returncode}")


def _copied(folder: Path) -> Path:
    """Copy the package without its compiled modules, as pip installs it without a compiler."""
    place = folder / "interpreted"
    left_out = [f"*{suffix}" for suffix in EXTENSION_SUFFIXES]
    shutil.copytree(
        _PACKAGE, place / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", *left_out)
    )
    return place
