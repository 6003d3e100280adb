"""The system calls of a life, as the kernel reports them to strace.

This is the truth about what was written: every call of Linux that can change a file or a name is
traced, and one that touches the log and is not known here is an error, as is a shared mapping or an
io_uring. So nothing that a service does to its disk can bypass the record; and before each life the
files are compared with what the record says of the lives before it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
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
_HARMLESS: Final = frozenset(("ioctl", "mmap"))


@attrs.frozen
class Call:
    """One system call that changed something, or a promise.

    Attributes:
        name: Of the call; ``promise`` for what the service was told is safe.
        paths: The paths that it names, relative to the root.
        data: What it writes.
        offset: Where it writes, or to what size it cuts; -1 for the end.
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
    """A service did not live as it was to."""


def record(root: Path, life: Life) -> list[Call]:
    """Live a life under strace; what it did below ``root``, in which its log is ``log``.

    Raises:
        LifeError: It ended otherwise.
        UnknownCallError: It did what is not modelled.
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
    done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
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
            if call is not None:
                yield from reader.read(call[2], call[3], call[4], call[5])


class _Reader:
    """Turns lines of strace into calls; it follows the offsets of descriptors.

    A descriptor that is written to is opened by the process that uses it, and never duplicated.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._offsets: dict[int, int] = {}

    def read(self, name: str, arguments: str, result: str, rest: str) -> Iterator[Call]:
        if result in ("?", "-1"):
            return
        if name in ("io_uring_setup", "io_submit"):
            raise UnknownCallError(f"{name}: strace can't follow what is written so")
        if name == "write" and arguments.startswith("1<"):
            promised = tuple(map(int, _PROMISED.findall(self._data(arguments, int(result)))))
            if promised:
                yield Call("promise", promised=promised)
            return
        paths = self._paths(name, arguments)
        if not paths:
            return
        descriptor = int(match[1]) if (match := re.match(r"(\d+)<", arguments)) else -1
        if name in ("open", "openat", "creat"):
            yield from self._open(name, arguments, int(result), paths)
        elif name == "write":
            data = self._data(arguments, int(result))
            offset = self._offsets.get(descriptor, -1)
            if offset >= 0:
                self._offsets[descriptor] = offset + len(data)
            yield Call("write", paths, data, offset)
        elif name == "pwrite64":
            data = self._data(arguments, int(result))
            yield Call("write", paths, data, int(arguments.rpartition(", ")[2]))
        elif name in ("fsync", "fdatasync"):
            yield Call("sync", paths)
        elif name in ("ftruncate", "truncate"):
            yield Call("cut", paths, offset=int(arguments.rpartition(", ")[2]))
        elif name in ("sendfile", "copy_file_range"):
            yield self._copy(name, paths, int(result), descriptor)
        elif name in ("rename", "renameat", "renameat2", "link", "linkat"):
            yield Call("rename" if name.startswith("rename") else "link", paths)
        elif name in ("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"):
            yield Call("unlink" if name[0] in "ur" else "mkdir", paths)
        elif name == "lseek":
            if self._offsets.get(descriptor, -1) >= 0:
                self._offsets[descriptor] = int(result)
        elif name not in _HARMLESS or (name == "mmap" and _is_shared_mapping(arguments)):
            raise UnknownCallError(f"{name}({arguments[:200]}) = {result}{rest}")

    def _open(
        self, name: str, arguments: str, descriptor: int, paths: tuple[PurePosixPath, ...]
    ) -> Iterator[Call]:
        flags = arguments
        self._offsets[descriptor] = -1 if "O_APPEND" in flags else 0
        if "O_CREAT" in flags or name == "creat":
            yield Call("create", paths)
        if "O_TRUNC" in flags or name == "creat":
            yield Call("cut", paths)

    def _copy(
        self, name: str, paths: tuple[PurePosixPath, ...], size: int, descriptor: int
    ) -> Call:
        if name != "sendfile":
            raise UnknownCallError(name)
        offset = self._offsets.get(descriptor, 0)
        self._offsets[descriptor] = offset + size
        return Call("copy", paths, bytes(size), offset)

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
    """Do to the modelled file system what a call did to the real one."""
    if call.name == "promise":
        return
    path = call.paths[0]
    node = files.node(path)
    if call.name == "create":
        if node is None:
            files.folder_of(path).change(NameChange(None, path.name, File()))
    elif call.name == "mkdir":
        files.folder_of(path).change(NameChange(None, path.name, Folder()))
    elif call.name == "unlink":
        files.folder_of(path).change(NameChange(path.name, None, None))
    elif call.name == "link":
        target = call.paths[1]
        files.folder_of(target).change(NameChange(None, target.name, node))
    elif call.name == "rename":
        target = call.paths[1]
        if path.parent == target.parent:
            files.folder_of(path).change(NameChange(path.name, target.name, node))
        else:
            files.folder_of(target).change(NameChange(None, target.name, node))
            files.folder_of(path).change(NameChange(path.name, None, None))
    elif call.name == "sync":
        assert node is not None, call
        node.sync()
    elif call.name == "copy":
        source = files.node(call.paths[1])
        assert isinstance(node, File), call
        assert isinstance(source, File), call
        end = call.offset + len(call.data)
        node.write(call.offset, bytes(source.content[call.offset : end]))
    elif call.name == "cut":
        assert isinstance(node, File), call
        node.cut(call.offset)
    elif isinstance(node, File):
        node.write(len(node.content) if call.offset < 0 else call.offset, call.data)
    else:
        raise UnknownCallError(f"{call.name} to {path}, which has no name any more")
