"""Runs rounds, each in a process group of its own, which is killed at the end."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import recloser
from host_rounds.judge import Verdict, judge
from host_rounds.plan import Plan
from recloser.log.listing import is_there, matching

_SUPPORT: Final = Path(__file__).parents[1]
_SOURCES: Final = Path(recloser.__file__).parents[1]
_LONGEST_LOAD_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 40.0
_LONGEST_ORPHAN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_DUMP_SECONDS: Final = 0.5


def run_round(plan: Plan, python: str) -> Verdict:
    """Run one round with an interpreter, and judge it."""
    verdict = Verdict(plan, python)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="recloser-round-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        (folder / "logs").mkdir()
        with (folder / "errors").open("w") as errors:
            process = _started(plan, python, folder, errors.fileno())
            is_hung = _has_hung(process, folder)
        text = (folder / "errors").read_text(errors="replace")
        judge(verdict, folder, is_hung=is_hung, status=process.returncode, errors=text[-4000:])
    verdict.seconds = time.monotonic() - began
    return verdict


def _started(plan: Plan, python: str, folder: Path, errors: int) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(_SUPPORT), str(_SOURCES)])
    return subprocess.Popen(
        [
            *(python, "-W", "ignore", "-X", "faulthandler", "-P", "-m", "host_rounds.service"),
            *(plan.to_json(), str(folder)),
        ],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
        start_new_session=True,
    )


def _has_hung(process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    """Wait for the first process of a round, and end what is left of it."""
    began = time.monotonic()
    is_hung = False
    while process.poll() is None and not is_hung:
        time.sleep(_POLL_SECONDS)
        has_called = is_there(folder / "called")
        limit = _LONGEST_SECONDS if has_called else _LONGEST_LOAD_SECONDS
        is_hung = time.monotonic() - began > limit
    if not is_hung:
        wait_for_orphans(folder)
    if is_hung:
        for path in matching(folder, "begun-*"):
            with suppress(ProcessLookupError):
                os.kill(int(path.name.removeprefix("begun-")), signal.SIGUSR2)
        time.sleep(_DUMP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return is_hung


def wait_for_orphans(folder: Path) -> None:
    """Wait up to 5 s for the reports of processes whose parent was killed."""
    until = time.monotonic() + _LONGEST_ORPHAN_SECONDS
    while time.monotonic() < until:
        pids = [path.name.removeprefix("begun-") for path in matching(folder, "begun-*")]
        if not any(
            _is_running(int(pid)) and not is_there(folder / f"report-{pid}.json") for pid in pids
        ):
            return
        time.sleep(_POLL_SECONDS)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_rounds(
    plans: Iterable[Plan],
    pythons: Sequence[str],
    jobs: int,
    on_round: Callable[[Verdict], None] = lambda _: None,
) -> Iterator[Verdict]:
    """Run rounds, ``jobs`` at a time, with the interpreters in rotation."""
    with ThreadPoolExecutor(jobs) as pool:
        numbered = enumerate(plans)
        for verdict in pool.map(
            lambda one: run_round(one[1], pythons[one[0] % len(pythons)]), numbered
        ):
            on_round(verdict)
            yield verdict
