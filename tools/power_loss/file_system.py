"""A file system that keeps apart what was written and what the disk was made sure of."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

import attrs

Node: TypeAlias = "File | Folder"


@attrs.define(eq=False)
class File:
    """A file.

    Attributes:
        content: What reading it gives.
        synced: What the disk surely has of it.
        changes: The writes and cuts since then, each as an offset and the bytes written there, or a
            size and None for a cut.
        names: How many names it has.
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
        """Make the file so long."""
        self.changes.append((size, None))
        change(self.content, size, None)

    def sync(self) -> None:
        """Have the disk take all of it."""
        self.synced = bytes(self.content)
        self.changes = []


def change(content: bytearray, offset: int, data: bytes | None) -> None:
    """Apply a write, or a cut where there is no data, to the bytes of a file."""
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


@attrs.frozen
class NameChange:
    """A name that was given, taken away, or both: of a rename neither is seen without the other.

    Attributes:
        taken: The name that was taken away, or None.
        given: The name that was given, or None.
        node: What it was given to.
    """

    taken: str | None
    given: str | None
    node: "Node | None"

    def apply(self, entries: dict[str, Node]) -> None:
        """Make the change to the names of a folder, if it still can be made."""
        if self.taken is not None and entries.pop(self.taken, None) is None:
            return
        if self.given is not None and self.node is not None:
            entries[self.given] = self.node


@attrs.define(eq=False)
class Folder:
    """A folder.

    Attributes:
        entries: What it holds, by name.
        synced: What the disk surely has of that.
        changes: The changes of names since then.
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
    """The folder that a service was given, and all that is below it."""

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
        """All that could be found after some crash: what has a name, and what had one."""
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
