"""Paths without what is different in each request: ``/users/123`` becomes ``/users/{id}``."""

import re
from typing import Any, Final

from recloser.importers.outcome_rules import text_of

# A number, a date, a UUID, eight or more hexadecimal digits, or sixteen or more letters and digits:
# in each there is a digit, so words stay, as do versions such as v1.
_ID: Final = re.compile(
    r"\d++"
    r"|\d{4}-\d\d-\d\d"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?=[a-fA-F]*+\d)[0-9a-fA-F]{8,128}+"
    r"|(?=[A-Za-z_-]*+\d)[\w-]{16,128}+",
    re.ASCII,
)


def grouped(value: Any) -> str:
    """A path with ``{id}`` in the place of each part that names one thing, and without its query.

    Text without a slash is no path, and stays.
    """
    text = text_of(value)
    if "/" not in text:
        return text
    path = text.partition("?")[0].partition("#")[0]
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))
