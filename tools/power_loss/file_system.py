"""A model of a file system that separates what was written from what was synced."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

import attrs

Node: TypeAlias = "File | Folder"


@attrs.define(eq=False)
class File:
    """A file.

    Attributes:
        content: The bytes that reading it returns.
        synced: The bytes that are surely on the disk.
        changes: The writes and truncations since the last sync, each as an offset and the bytes
            written there, or as a size and None.
        names: The number of its names.
    """

    content: bytearray = attrs.field(factory=bytearray)
    synced: bytes = b""
    changes: list[tuple[int, bytes | None]] = attrs.field(factory=list)
    names: int = 0

    def write(self, offset: int, data: bytes) -> None:
        """Write data at an offset."""
        self.changes.append((offset, data))
        change(self.content, offset, data)

    def cut(self, size: int) -> None:
        """Truncate or extend the file to ``size`` bytes."""
        self.changes.append((size, None))
        change(self.content, size, None)

    def sync(self) -> None:
        """Have the disk take all of it."""
        self.synced = bytes(self.content)
        self.changes = []


def change(content: bytearray, offset: int, data: bytes | None) -> None:
    """Apply a write, or without data a truncation, to the bytes of a file."""
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


@attrs.frozen
class NameChange:
    """A name that was added or removed, or both in a rename, which is never seen half done.

    Attributes:
        taken: The name that was removed, or None.
        given: The name that was added, or None.
        node: The file or folder that has the added name.
    """

    taken: str | None
    given: str | None
    node: "Node | None"

    def apply(self, entries: dict[str, Node]) -> None:
        """Apply the change to the names of a folder, if that is still possible."""
        if self.taken is not None and entries.pop(self.taken, None) is None:
            return
        if self.given is not None and self.node is not None:
            entries[self.given] = self.node


@attrs.define(eq=False)
class Folder:
    """A folder.

    Attributes:
        entries: Its files and folders, by name.
        synced: The entries that are surely on the disk.
        changes: The changes of names since the last sync.
    """

    entries: dict[str, Node] = attrs.field(factory=dict)
    synced: dict[str, Node] = attrs.field(factory=dict)
    changes: list[NameChange] = attrs.field(factory=list)

    def change(self, made: NameChange) -> None:
        """Change a name."""
        before = None if made.given is None else self.entries.get(made.given)
        gone = None if made.taken is None else self.entries.get(made.taken)
        for node, step in ((before, -1), (gone, -1), (made.node, 1)):
            if isinstance(node, File):
                node.names += step
        self.changes.append(made)
        made.apply(self.entries)

    def sync(self) -> None:
        """Have the disk take all names."""
        self.synced = dict(self.entries)
        self.changes = []


class FileSystem:
    """The folder of a service, and everything below it."""

    def __init__(self) -> None:
        self.root = Folder()

    def node(self, path: PurePosixPath) -> "Node | None":
        """Return the node at a path, relative to the root; None if there is none."""
        node: Node | None = self.root
        for part in path.parts:
            node = node.entries.get(part) if isinstance(node, Folder) else None
        return node

    def folder_of(self, path: PurePosixPath) -> Folder:
        """The folder that a path is in."""
        folder = self.node(path.parent)
        assert isinstance(folder, Folder), path
        return folder

    def nodes(self) -> Iterator[Node]:
        """Yield everything that may be found after a crash: what has a name, and what had one."""
        waiting: list[Node] = [self.root]
        seen = set()
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            if isinstance(node, Folder):
                waiting += [*node.entries.values(), *node.synced.values()]
                waiting += [made.node for made in node.changes if made.node is not None]
