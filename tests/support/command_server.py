"""Runs commands in processes that are forked from one that has the package loaded already.

Starting Python and loading the package takes longer than most commands that fail.
"""

import atexit
import base64
import ctypes
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from attrs import frozen

SOURCES = Path(__file__).parents[2] / "src"
_CAPABILITIES_VERSION_3 = 0x20080522


@frozen
class Done:
    """Result of a command: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


class CommandServer:
    """Starts Python once, and runs any number of commands in forked children."""

    def __init__(self):
        path = os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def run(
        self, *arguments, cwd, stdin=b"", stdout="file", stderr="file", encoding="utf-8",
        powerless=False, environment=None, before="",
    ):  # fmt: skip
        """Run ``recloser`` with these arguments.

        Args:
            arguments: The command line.
            cwd: The current folder.
            stdin: The bytes on its standard input.
            stdout: ``file``, ``full`` for a full disk, ``closed``, or ``unread`` for a pipe without a reader.
            stderr: One of the words for ``stdout``.
            encoding: Encoding of standard output and standard error.
            powerless: Whether to give up root's right to read and write every file first.
            environment: Variables to add to the environment.
            before: Python code to run first.
        """
        request = {
            "arguments": list(map(str, arguments)), "cwd": str(cwd), "stdout": stdout,
            "stderr": stderr, "encoding": encoding, "powerless": powerless, "before": before,
            "environment": environment or {}, "stdin": base64.b64encode(stdin).decode(),
        }  # fmt: skip
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))


def serve():
    import recloser.cli

    for module in recloser.cli._COMMANDS.values():
        importlib.import_module(module)
    answers = os.dup(1)
    for line in sys.stdin.buffer:
        answer = forked(json.loads(line))
        os.write(answers, json.dumps(answer).encode() + b"\n")


def forked(request):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os._exit(run_in_child(request, out.fileno(), err.fileno()))
        _, ended = os.waitpid(child, 0)
        read = []
        for stream in (out, err):
            stream.seek(0)
            read.append(stream.read().decode(errors="backslashreplace"))
        return {"status": os.waitstatus_to_exitcode(ended), "out": read[0], "err": read[1]}


def run_in_child(request, out, err):
    """Run a command in this forked process, and return the exit status that Python would have."""
    signal.alarm(60)
    with tempfile.TemporaryFile() as given:
        given.write(base64.b64decode(request["stdin"]))
        given.seek(0)
        os.dup2(given.fileno(), 0)
    connect(1, out, request["stdout"])
    connect(2, err, request["stderr"])
    open_streams(request["encoding"])
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    if request["powerless"]:
        give_up_capabilities()
    sys.argv = ["recloser", *request["arguments"]]
    status = 0
    try:
        from recloser.cli import run

        exec(request["before"], {})
        run()
    except SystemExit as error:
        status = error.code or 0
    except BaseException:  # noqa: BLE001  # as Python shows it
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            status = 120
    return status


def connect(descriptor, file, kind):
    if kind == "file":
        os.dup2(file, descriptor)
    elif kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)
    elif kind == "closed":
        os.close(descriptor)
    else:
        reading, writing = os.pipe()
        os.dup2(writing, descriptor)
        os.close(reading)
        os.close(writing)


def give_up_capabilities():
    """Give up root's capabilities, so that the modes of files apply as for other users."""
    if os.getuid() == 0:
        header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.capset(header, (ctypes.c_uint32 * 6)()):
            raise OSError(ctypes.get_errno(), "capset")


def open_streams(encoding):
    """Open the standard streams on their descriptors, as Python does when it starts."""
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb"), encoding="utf-8")
    for descriptor, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        try:
            os.fstat(descriptor)
        except OSError:
            setattr(sys, name, None)
            continue
        binary = os.fdopen(descriptor, "wb")
        stream = io.TextIOWrapper(
            binary, encoding=encoding, errors=errors, line_buffering=descriptor == 2
        )
        setattr(sys, name, stream)


if __name__ == "__main__":
    serve()
