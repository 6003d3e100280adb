"""Values of fields as text, and the values by which a field says that it has none."""

from typing import Any, Final

MISSING: Final = (None, "", "-")
"""Values by which a field says that it has none."""


def text_of(value: Any) -> str:
    """Return a value as text: ``true`` and ``false`` as in JSON, nothing for None."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
