"""Servers that run the service under test, in process groups that are killed at the end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from redis_servers import wait_for

from conftest import ROOT
from recloser import LogError
from recloser.log.reader import LogReader

HOSTS = ROOT / "tests" / "hosts"
CALLERS = 8
SECONDS = 12


class Server:
    """A server that can be stopped and started again.

    Attributes:
        folder: The folder of the service, which gets its files and output.
    """

    def __init__(self, command, folder, listening, **environment):
        self.folder = folder
        self._command = command
        self._listening = listening
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HOSTS), str(ROOT / "src")]),
            "HOST_FOLDER": str(folder),
            **environment,
        }
        self._process = None

    def start(self):
        with (self.folder / "output").open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", *self._command],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=() if self._listening is None else (self._listening.fileno(),),
                start_new_session=True,
            )

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self, meanwhile=lambda: None):
        """End the server with SIGTERM, and call ``meanwhile`` repeatedly until it has ended."""
        self.signal(signal.SIGTERM)

        def has_ended():
            meanwhile()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
            return self._process.returncode is not None

        wait_for(has_ended, SECONDS)
        assert self._process.returncode == 0
        self.end()

    def end(self):
        """Kill all processes that are left of the server."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def get(self, path="/pay"):
        host, port = self._listening.getsockname()
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, self.output[-3000:]
            return json.loads(body)
        finally:
            connection.close()

    def get_until(self, is_enough, path="/pay"):
        """Request a path from eight threads until ``is_enough`` accepts the list of all answers."""
        answers = []
        with ThreadPoolExecutor(CALLERS) as pool:

            def ask():
                answers.extend(pool.map(lambda _: self.get(path), range(CALLERS)))
                return is_enough(answers)

            wait_for(ask, SECONDS)
        return answers

    @property
    def output(self):
        return (self.folder / "output").read_text()

    def begin_outage(self):
        (self.folder / "down").touch()

    def end_outage(self):
        (self.folder / "down").unlink()


@contextmanager
def served(command, folder, *, listens=True, **environment):
    """Run a server; ``{fd}`` in its command is replaced by the descriptor that it listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        command = [word.format(fd=listening.fileno()) for word in command]
        server = Server(command, folder, listening if listens else None, **environment)
        server.start()
        try:
            yield server
        finally:
            server.end()


def calls_noted(folder):
    """Read the calls that workers have noted, one per line."""
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def by_worker(answers):
    """Count the calls of each worker, by its pid, and outcome."""
    counts = {}
    for answer in answers:
        counts.setdefault(answer["pid"], Counter())[answer["outcome"]] += 1
    return counts


def count_of_workers_with(outcome, answers):
    return sum(counts[outcome] > 0 for counts in by_worker(answers).values())


def recorded(folder):
    """Count the outcomes in all logs below a folder."""
    counts = Counter()
    logs = {path.parent for path in folder.rglob("*.jsonl*")}
    for log in logs:
        for event in LogReader(log):
            if event.kind in ("call_succeeded", "call_failed", "call_rejected"):
                counts[event.kind.removeprefix("call_")] += getattr(event, "count", 1)
    return counts


def noted(folder):
    return Counter(call["outcome"] for call in calls_noted(folder))


def wait_until_all_is_recorded(folder):
    def is_recorded():
        with suppress(LogError):  # a segment may be just being created
            return recorded(folder) == noted(folder)

    with suppress(TimeoutError):
        wait_for(is_recorded, SECONDS / 2)
    assert recorded(folder) == noted(folder)


def assert_calm(server):
    """Assert that no worker has printed an error."""
    assert "Traceback" not in server.output
    assert "Error" not in server.output
