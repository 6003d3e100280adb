"""The script of the demo: an outage, and a kill and restart of the caller."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from attrs import frozen

from recloser.demo.caller import FAILED
from recloser.demo.service import Service
from recloser.errors import RecloserError
from recloser.process import child_python

_MAX_CALLS: Final = 400
"""Calls after which the demo gives up waiting; about 12 s at 30 ms per call."""


@frozen
class _Call:
    state: str
    outcome: str
    retry_after: str


def play(path: Path, say: Callable[[str], None], host: str | None = None) -> None:
    """Record an outage to a log, and kill and restart the caller during it.

    Args:
        path: The folder of the log.
        say: Called with a line of text for each thing that happens.
        host: The host name to record; by default the machine's name.

    Raises:
        RecloserError: An expected event did not happen.
    """
    with Service() as service:
        say(f"a service listens on {service.url}")
        with _caller(path, service, host) as (process, calls):
            _await(calls, "20 calls to succeed", lambda call: call.outcome == "succeeded", 20)
            say("it answers; 20 calls through the breaker succeeded")
            service.healthy = False
            say("the service fails: every answer is 503 from now on")
            _await(calls, "the breaker to open", lambda call: call.state == "OPEN", 1)
            reached = service.requests
            _await(calls, "10 calls to be rejected", lambda call: call.outcome == "rejected", 10)
            say(
                f"the breaker opened; 10 calls were rejected, {service.requests - reached} of them "
                "reached the service"
            )
            process.kill()
        say("the calling process was killed with SIGKILL, in mid-outage")
        with _caller(path, service, host) as (process, calls):
            first = next(calls)
            say(f"started again from its log: {first.state}, {first.retry_after} s left to wait")
            _await(calls, "a call to be rejected", lambda call: call.outcome == "rejected", 1)
            service.healthy = True
            say("the service works again")
            _await(calls, "the breaker to close", lambda call: call.state == "CLOSED", 10)
            say("the breaker probed, closed, and lets calls through")


@contextmanager
def _caller(
    path: Path, service: Service, host: str | None
) -> Iterator[tuple[subprocess.Popen[str], Iterator[_Call]]]:
    command = child_python.command("recloser.demo.caller", str(path), service.url)
    if host is not None:
        command.append(host)
    with subprocess.Popen(  # noqa: S603  # our own module
        command,
        env=child_python.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, _read_calls(process.stdout)
        except BaseException:
            process.kill()
            raise
        process.stdin.close()
        process.stdout.read()


def _read_calls(lines: IO[str]) -> Iterator[_Call]:
    for line in lines:
        if line.startswith(FAILED):
            raise RecloserError(line.removeprefix(FAILED).rstrip("\n"))
        yield _Call(*line.split())
    raise RecloserError("the calling process ended early; its output is above")


def _await(
    calls: Iterator[_Call], what: str, happened: Callable[[_Call], bool], times: int
) -> None:
    for _, call in zip(range(_MAX_CALLS), calls, strict=False):
        times -= happened(call)
        if times == 0:
            return
    raise RecloserError(f"the demo gave up waiting for {what}")
