"""Regular expressions that match the lines written by a format string.

Every field ends where the text after it can first begin, and all repetition is possessive. So a
line is matched or rejected in time linear in its length, whatever it contains.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from recloser.importers.records.format_string_languages import FormatField, Part

_QUOTED: Final = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LISTED: Final = r"[^ ,]*+(?:(?:, | : )[^ ,]*+)*+"
_BRACKETS: Final = ("[]", "()", "{}", "<>", "||")
_NAMES_WITH_SPACES: Final = ("user", "remote_user", "site")
"""Fields whose values may hold spaces without anything around them."""

_TEXT_WITH_SPACES: Final = (
    "request",
    "time_local",
    "http_user_agent",
    "http_referer",
    "agent",
    "referer",
)
"""Fields whose values hold spaces, if the text after them does not begin with one."""

_IDENTS: Final = ("ident",)
"""Fields that hold no host; a host there shows that the line begins with something else."""


def field_names_in(parts: Sequence[Part]) -> list[str]:
    """Return the names of the fields, in their order."""
    return [part.name for part in parts if isinstance(part, FormatField)]


def line_pattern(
    parts: Sequence[Part],
    wanted: Collection[str],
    *,
    lists: Collection[str] = (),
    is_open: bool = False,
) -> tuple[re.Pattern[str], list[str]]:
    """Return an expression that matches whole lines, and the fields of its groups.

    Args:
        parts: The parts of a format string.
        wanted: The fields that get a group; of several fields with one name, the first gets it.
        lists: The fields that hold several values, with a comma or a colon between them.
        is_open: Whether a line may be cut in its last field, or have more text after it.
    """
    names: list[str] = []
    pattern = ""
    for index, part in enumerate(parts):
        if isinstance(part, str):
            if index and _may_be_missing(parts[index - 1]):
                part = part.removeprefix(" ")  # noqa: PLW2901  # the pattern of the field has it
            is_last_quote = is_open and index == len(parts) - 1
            pattern += re.escape(part) + ("?+" if is_last_quote and len(part) == 1 else "")
            continue
        following = parts[index + 1] if index + 1 < len(parts) else ""
        assert isinstance(following, str)
        before = parts[index - 1] if index else ""
        value = _value(part, before if isinstance(before, str) else "", following, lists)
        if part.name in wanted and part.name not in names:
            names.append(part.name)
            value = f"({value})"
        pattern += f"(?:{value} )?" if part.may_be_missing else value
    return re.compile(pattern + (".*+" if is_open else "")), names


def _may_be_missing(part: Part) -> bool:
    return isinstance(part, FormatField) and part.may_be_missing


def _value(part: FormatField, before: str, following: str, lists: Collection[str]) -> str:
    """Return the expression for a field between two texts.

    Without quotes, a value holds no space.
    """
    name = part.name
    if part.may_be_missing:
        return r"(?:\{[^}]*+\}|-)"
    if part.may_be_quoted:
        return f'(?:"{_QUOTED}"|{_value(FormatField(name), before, following, lists)})'
    if before.endswith('"') and following.startswith('"'):
        return _QUOTED
    if name in lists and following.startswith(" "):
        return _LISTED
    if part.spaces and before[-1:] + following[:1] not in _BRACKETS:
        ended = re.escape(following[:1]) if following[:1] != " " else ""
        return f"[^ {ended}]*+" + f"(?: [^ {ended}]*+){{{part.spaces}}}"
    return _open_value(name, before, following)


def _open_value(name: str, before: str, following: str) -> str:
    if name in _IDENTS:
        return "[^ .:]*+"
    if not following:
        return "[^ ]*+"
    first, rest = re.escape(following[0]), re.escape(following[1:])
    if name in _NAMES_WITH_SPACES and rest:
        return f"[^{first}]*+(?:{first}(?!{rest})[^{first}]*+)*+"
    if name in _TEXT_WITH_SPACES and first != re.escape(" "):
        return f"[^{first}]*+"
    is_enclosed = before[-1:] + following[0] in _BRACKETS
    return f"[^{first}]*+" if is_enclosed or following[0] == " " else f"[^{first} ]*+"
