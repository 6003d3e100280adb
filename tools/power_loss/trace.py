"""The system calls of a life, as the kernel reports them to strace.

The record is complete: every system call of Linux that can change a file or a name is traced. A call
that touches the log and is not known here is an error, and so is a shared mapping or an io_uring.
Before each life, the real files are compared with those that the record of the earlier lives gives.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import attrs

from power_loss.file_system import File, FileSystem, Folder, NameChange
from power_loss.lives import Life

_CALL: Final = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)$")
_UNFINISHED: Final = re.compile(r"^(\d+) +(\w+)\((.*?),? *<unfinished \.\.\.>$")
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_PATH: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR: Final = re.compile(r"(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_PROMISED: Final = re.compile(rb"promised (\d+)\n")
_TRACED: Final = (
    "open,openat,openat2,creat,lseek,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,"
    "fallocate,fsync,fdatasync,sync_file_range,msync,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,sendfile,copy_file_range,splice,tee,"
    "vmsplice,ioctl,mmap,io_uring_setup,io_submit"
)
_NAMES: Final = {
    **dict.fromkeys(("fsync", "fdatasync"), "sync"),
    **dict.fromkeys(("rename", "renameat", "renameat2"), "rename"),
    **dict.fromkeys(("link", "linkat"), "link"),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), "unlink"),
    **dict.fromkeys(("mkdir", "mkdirat"), "mkdir"),
}
_OPENING: Final = ("open", "openat", "creat")
_CHANGES: Final = ("write", "pwrite64", "ftruncate", "truncate", "sendfile")
_HARMLESS: Final = frozenset(("ioctl", "mmap"))


@attrs.frozen
class Call:
    """One system call that changed something, or a promise.

    Attributes:
        name: The name of the system call; ``promise`` for a promise.
        paths: The paths that it names, relative to the root.
        data: The bytes that it writes.
        offset: The offset of a write, or the size of a truncation; -1 for the end.
        promised: The outcomes that must survive from now on.
    """

    name: str
    paths: tuple[PurePosixPath, ...] = ()
    data: bytes = b""
    offset: int = 0
    promised: tuple[int, ...] = ()


class UnknownCallError(Exception):
    """A system call touches the log in a way that is not modelled."""


class LifeError(Exception):
    """A service did not do what its life says."""


def record(root: Path, life: Life) -> list[Call]:
    """Run a life under strace, and return what it did below ``root``, where its log is ``log``.

    Raises:
        LifeError: It ended in another way.
        UnknownCallError: It made a system call that is not modelled.
    """
    out = root.with_name(root.name + ".strace")
    command = [
        *("strace", "-f", "-y", "-xx", "-s", str(1 << 22), "-o", str(out)),
        *("--seccomp-bpf", "-e", f"trace={_TRACED}", "-e", "signal=none"),
        *(sys.executable, str(Path(__file__).with_name("lives.py"))),
        *(str(root / "log"), json.dumps(attrs.asdict(life))),
    ]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    expected = -9 if life.is_killed else 0
    if done.returncode not in (expected, 128 - expected):
        raise LifeError(f"{life} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    calls = list(_calls(out, root))
    out.unlink()
    return calls


def _calls(trace: Path, root: Path) -> Iterator[Call]:
    reader = _Reader(root)
    unfinished: dict[str, str] = {}
    with trace.open(encoding="ascii") as stream:
        for line in stream:
            if (begun := _UNFINISHED.match(line.rstrip("\n"))) is not None:
                unfinished[begun[1]] = f"{begun[1]} {begun[2]}({begun[3]}"
                continue
            whole = line.rstrip("\n")
            if (resumed := _RESUMED.match(whole)) is not None:
                whole = unfinished.pop(resumed[1]) + resumed[3]
            call = _CALL.match(whole)
            if call is not None and call[4] not in ("?", "-1"):
                yield from reader.read(call[2], call[3], call[4])


class _Reader:
    """Turns lines of strace into calls, and follows the offsets of descriptors.

    It relies on descriptors being written only by the process that opened them, and never duplicated.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._offsets: dict[int, int] = {}

    def read(self, name: str, arguments: str, result: str) -> Iterator[Call]:
        """Return the calls that a line of strace reports."""
        paths = self._paths(name, arguments)
        if not paths:
            yield from self._elsewhere(name, arguments, result)
            return
        descriptor = int(match[1]) if (match := re.match(r"(\d+)<", arguments)) else -1
        if name in _OPENING:
            yield from self._open(name, arguments, int(result), paths)
        elif name == "lseek":
            if self._offsets.get(descriptor, -1) >= 0:
                self._offsets[descriptor] = int(result)
        elif name in _CHANGES:
            yield self._change(name, arguments, int(result), descriptor, paths)
        elif name in _NAMES:
            yield Call(_NAMES[name], paths)
        elif name not in _HARMLESS or (name == "mmap" and _is_shared_mapping(arguments)):
            raise UnknownCallError(f"{name}({arguments[:200]}) = {result}")

    def _elsewhere(self, name: str, arguments: str, result: str) -> Iterator[Call]:
        """Return the promises in a call that touches no file of the log."""
        if name in ("io_uring_setup", "io_submit"):
            raise UnknownCallError(f"{name}: strace can't follow what is written so")
        if name == "write" and arguments.startswith("1<"):
            promised = tuple(map(int, _PROMISED.findall(self._data(arguments, int(result)))))
            if promised:
                yield Call("promise", promised=promised)

    def _change(
        self,
        name: str,
        arguments: str,
        result: int,
        descriptor: int,
        paths: tuple[PurePosixPath, ...],
    ) -> Call:
        last = arguments.rpartition(", ")[2]
        if name.endswith("truncate"):
            return Call("cut", paths, offset=int(last))
        if name == "pwrite64":
            return Call("write", paths, self._data(arguments, result), int(last))
        offset = self._offsets.get(descriptor, -1)
        if offset >= 0:
            self._offsets[descriptor] = offset + result
        if name == "sendfile":
            return Call("copy", paths, bytes(result), offset)
        return Call("write", paths, self._data(arguments, result), offset)

    def _open(
        self, name: str, arguments: str, descriptor: int, paths: tuple[PurePosixPath, ...]
    ) -> Iterator[Call]:
        flags = arguments
        self._offsets[descriptor] = -1 if "O_APPEND" in flags else 0
        if "O_CREAT" in flags or name == "creat":
            yield Call("create", paths)
        if "O_TRUNC" in flags or name == "creat":
            yield Call("cut", paths)

    @staticmethod
    def _data(arguments: str, size: int) -> bytes:
        match = _PATH.search(arguments)
        assert match is not None, arguments
        data = _unescaped(match[1])[:size]
        assert len(data) == size, "strace has shortened what was written"
        return data

    def _paths(self, name: str, arguments: str) -> tuple[PurePosixPath, ...]:
        """The paths below the root that a call names, by descriptor or as text."""
        found = []
        cwd = ""
        descriptors = _DESCRIPTOR.findall(arguments)
        for number, hexed in descriptors:
            path = _unescaped(hexed).decode()
            if number == "AT_FDCWD":
                cwd = path
            elif not path.endswith(" (deleted)"):
                found.append(path)
        if name not in ("write", "pwrite64", "read", "pread64"):
            texts = [_unescaped(hexed).decode() for hexed in _PATH.findall(arguments)]
            at = cwd if not found or descriptors[0][0] == "AT_FDCWD" else found[0]
            texts = [os.path.join(at, text) for text in texts]  # noqa: PTH118  # text of another
            found = texts or found
        below = [path for path in found if path == self._root or path.startswith(self._root + "/")]
        return tuple(PurePosixPath(path).relative_to(self._root) for path in below)


def _is_shared_mapping(arguments: str) -> bool:
    return "MAP_SHARED" in arguments and "PROT_WRITE" in arguments


def _unescaped(hexed: str) -> bytes:
    return bytes.fromhex(hexed.replace("\\x", ""))


def perform(call: Call, files: FileSystem) -> None:
    """Apply a call to the modelled file system."""
    if call.name in _ON_NAMES:
        _ON_NAMES[call.name](files, *call.paths)
    elif call.name != "promise":
        node = files.node(call.paths[0])
        if node is None or (call.name != "sync" and not isinstance(node, File)):
            raise UnknownCallError(f"{call.name} to {call.paths[0]}, which is no file")
        if call.name == "sync" or isinstance(node, Folder):
            node.sync()
        elif call.name == "cut":
            node.cut(call.offset)
        else:
            data = call.data
            if call.name == "copy":
                source = files.node(call.paths[1])
                assert isinstance(source, File), call
                data = bytes(source.content[call.offset : call.offset + len(data)])
            node.write(len(node.content) if call.offset < 0 else call.offset, data)


def _create(files: FileSystem, path: PurePosixPath) -> None:
    if files.node(path) is None:
        files.folder_of(path).change(NameChange(None, path.name, File()))


def _make_folder(files: FileSystem, path: PurePosixPath) -> None:
    files.folder_of(path).change(NameChange(None, path.name, Folder()))


def _unlink(files: FileSystem, path: PurePosixPath) -> None:
    files.folder_of(path).change(NameChange(path.name, None, None))


def _link(files: FileSystem, path: PurePosixPath, target: PurePosixPath) -> None:
    files.folder_of(target).change(NameChange(None, target.name, files.node(path)))


def _rename(files: FileSystem, path: PurePosixPath, target: PurePosixPath) -> None:
    if path.parent == target.parent:
        change = NameChange(path.name, target.name, files.node(path))
        files.folder_of(path).change(change)
    else:
        _link(files, path, target)
        _unlink(files, path)


_ON_NAMES: Final[dict[str, Callable[..., None]]] = {
    "create": _create,
    "mkdir": _make_folder,
    "unlink": _unlink,
    "link": _link,
    "rename": _rename,
}
