"""Detection of wrappers that could also be a part of the line.

A time in front of a line is one example.
"""

from collections.abc import Sequence
from typing import Final

from recloser.importers.detection.format_detection import are_objects, can_read
from recloser.importers.detection.format_opening import FileFormat
from recloser.importers.unwrapping.line_unwrapper import unwrapped_lines, wraps_most_lines
from recloser.importers.unwrapping.line_wrappers import FIELD_WRAPPERS, WRAPPERS, Wrapper

_PREFIXES: Final = ("compose", "timestamps")
"""The wrappers that a format may mistake for the first field of a line."""

_MAX_DEPTH: Final = 1
"""How many further wrappers of this kind are looked for within one."""


def uncertain_wrappers(lines: Sequence[str], expected: FileFormat | None) -> list[Wrapper]:
    """Find wrappers that leave lines which a format reads.

    Args:
        lines: The first lines of a file.
        expected: The format that must read what is left; None for any format.

    Returns:
        The wrappers, the outermost first.
    """
    return _wrappers_around(lines, expected, 0) or []


def _wrappers_around(
    lines: Sequence[str], expected: FileFormat | None, depth: int
) -> list[Wrapper] | None:
    """The wrappers; None if no format reads the lines, whatever is removed."""
    is_readable = can_read(lines, expected)
    if is_readable and expected is not None:
        return []
    uncertain = [wrapper for wrapper in WRAPPERS.values() if wrapper.is_uncertain]
    # A prefix may look like a field of the line, as a host does, so it is looked for even if a format
    # reads the line as it is. A line within a line is looked for only if no format does.
    candidates = (
        [WRAPPERS[name] for name in _PREFIXES] if is_readable else [*uncertain, *FIELD_WRAPPERS]
    )
    for wrapper in candidates:
        if wraps_most_lines(wrapper, lines):
            inner = unwrapped_lines([wrapper], lines)
            if depth < _MAX_DEPTH and (further := _wrappers_around(inner, expected, depth + 1)):
                return [wrapper, *further]
            if can_read(inner, expected) or are_objects(inner):
                return [wrapper]
    return [] if is_readable else None
