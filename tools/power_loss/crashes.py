"""States of a disk that a loss of power may leave."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from power_loss.file_system import File, FileSystem, Folder, Node, change
from power_loss.trace import Call, perform

State: TypeAlias = Mapping[str, bytes | None]
"""The contents of a disk: the bytes of each file by its path, and None for a folder."""

PAGE: Final = 4096
_PREFIX, _WHOLE, _NOTHING, _PAGES = "prefix", "whole", "nothing", "pages"
_KEPT: Final = 0.5
_OF_OLD_SIZE: Final = 0.3
_NAMES: Final = ("all", "all", "synced", "some")


@attrs.frozen
class Crash:
    """A loss of power.

    Attributes:
        state: The contents of the disk afterwards.
        promised: The outcomes that must be in it.
        calls: The number of system calls of the record before it.
    """

    state: State
    promised: frozenset[int]
    calls: int

    def digest(self) -> bytes:
        """A digest of the state and the promises; equal for crashes that are the same test."""
        made = hashlib.sha256(repr(sorted(self.promised)).encode())
        for path, content in sorted(self.state.items()):
            made.update(f"\n{path}\n{None if content is None else len(content)}\n".encode())
            made.update(content or b"")
        return made.digest()

    def put(self, folder: Path) -> None:
        """Write the state into a folder."""
        for path, content in self.state.items():
            target = folder / path
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


def crashes(
    calls: Sequence[Call], seed: int, per_call: int, begun: Crash | None = None
) -> Iterator[Crash]:
    """Draw crashes of a recorded sequence of system calls: some after each call.

    Each file is a prefix of what was written to it since its last sync, or has some pages of that and
    not others. All changes of names are there, or only the synced ones, or some.

    Args:
        calls: The recorded system calls.
        seed: The seed of all random choices.
        per_call: How many crashes to draw after each call.
        begun: The contents and promises before the first call; by default, none.
    """
    files = FileSystem()
    promised: set[int] = set()
    if begun is not None:
        promised = set(begun.promised)
        _restore(files, begun.state)
    chance = random.Random(seed)
    for number, call in enumerate(calls):
        promised.update(call.promised)
        if call.name == "unlink":
            promised -= _given_up(files, call, promised)
        perform(call, files)
        for _ in range(per_call):
            yield Crash(_drawn(files, chance), frozenset(promised), number + 1)


def whole(calls: Sequence[Call], begun: Crash | None = None) -> State:
    """The contents of the disk if nothing is lost."""
    files = FileSystem()
    if begun is not None:
        _restore(files, begun.state)
    for call in calls:
        perform(call, files)
    state: dict[str, bytes | None] = {}
    _collect(files.root, "", lambda folder: folder.entries, lambda f: bytes(f.content), state)
    return state


def held_by(folder: Path) -> State:
    """The contents of a real folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def _restore(files: FileSystem, state: State) -> None:
    for path, content in sorted(state.items()):
        *above, name = path.split("/")
        folder = files.root
        for part in above:
            below = folder.entries[part]
            assert isinstance(below, Folder)
            folder = below
        node: Node = Folder() if content is None else File(bytearray(content), content, names=1)
        folder.entries[name] = folder.synced[name] = node


def _given_up(files: FileSystem, call: Call, promised: set[int]) -> set[int]:
    """The promised outcomes that retention removes with the last form of an old segment."""
    path = call.paths[0]
    node, folder = files.node(path), files.folder_of(path)
    number = path.name.partition(".")[0]
    twins = [name for name in folder.entries if name.startswith(number) and name != path.name]
    if not isinstance(node, File) or node.names > 1 or twins or not number.isdecimal():
        return set()
    return promised & outcomes_in(path.name, bytes(node.content))


def outcomes_in(name: str, content: bytes) -> set[int]:
    """The durations of the outcomes in a segment, which identify them."""
    if name.endswith(".zst"):
        import zstandard

        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return set(map(int, re.findall(rb'"took":(\d+)', content)))


def _drawn(files: FileSystem, chance: random.Random) -> State:
    names = chance.choice(_NAMES)
    way = chance.choice((_PREFIX, _PREFIX, _WHOLE, _NOTHING, _PAGES, _PAGES))
    seen: dict[int, bytes] = {}

    def entries(folder: Folder) -> dict[str, Node]:
        if names == "all":
            return folder.entries
        found = dict(folder.synced)
        for made in folder.changes if names == "some" else ():
            if chance.random() < _KEPT:
                made.apply(found)
        return found

    def content(file: File) -> bytes:
        if id(file) not in seen:  # one file may have two names
            seen[id(file)] = _content(file, way, chance)
        return seen[id(file)]

    state: dict[str, bytes | None] = {}
    _collect(files.root, "", entries, content, state)
    return state


def _collect(
    folder: Folder,
    above: str,
    entries: Callable[[Folder], Mapping[str, Node]],
    content: Callable[[File], bytes],
    state: dict[str, bytes | None],
) -> None:
    for name, node in entries(folder).items():
        if isinstance(node, Folder):
            state[above + name] = None
            _collect(node, f"{above}{name}/", entries, content, state)
        else:
            state[above + name] = content(node)


def _content(file: File, way: str, chance: random.Random) -> bytes:
    if not file.changes or way == _NOTHING:
        return file.synced
    if way == _WHOLE:
        return bytes(file.content)
    if way == _PAGES:
        return _some_pages(file, chance)
    made = bytearray(file.synced)
    kept = chance.randrange(len(file.changes) + 1)
    for offset, data in file.changes[:kept]:
        change(made, offset, data)
    if kept < len(file.changes):
        offset, data = file.changes[kept]
        if data is not None:
            change(made, offset, data[: chance.randrange(len(data) + 1)])
    return bytes(made)


def _some_pages(file: File, chance: random.Random) -> bytes:
    """Pages reach a disk in any order; a page that has not holds its old bytes, or zeros."""
    size = len(file.content)
    if chance.random() < _OF_OLD_SIZE:
        size = min(size, len(file.synced))
    made = bytearray(file.content[:size])
    old = file.synced + bytes(max(0, size - len(file.synced)))
    for start in range(0, size, PAGE):
        page = slice(start, min(start + PAGE, size))
        if made[page] != old[page] and chance.random() < _KEPT:
            made[page] = old[page]
    return bytes(made)
