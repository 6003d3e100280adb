"""Paths with ids replaced, as ``/users/{id}`` for ``/users/123``."""

import re
from typing import Any, Final

from recloser.importers.values.field_text import text_of

# A number, a date, a UUID, eight or more hexadecimal digits, or sixteen or more letters and digits. Each
# has a digit in it, so words are no ids, and neither are versions such as v1.
_ID: Final = re.compile(
    r"\d++"
    r"|\d{4}-\d\d-\d\d"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?=[a-fA-F]*+\d)[0-9a-fA-F]{8,128}+"
    r"|(?=[A-Za-z_-]*+\d)[\w-]{16,128}+",
    re.ASCII,
)


def group_ids(value: Any) -> str:
    """Replace the ids in a path by ``{id}`` and remove its query.

    Text without a slash is not a path and is returned as it is.
    """
    text = text_of(value)
    if "/" not in text:
        return text
    path = text.partition("?")[0].partition("#")[0]
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))
