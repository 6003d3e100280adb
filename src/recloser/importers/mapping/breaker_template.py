"""Names of breakers, made from the fields of a call."""

import string
from collections.abc import Sequence

from recloser.errors import ImportTraceError


class BreakerTemplate:
    """Template of a breaker's name with fields in braces, as ``{caller}->{target}``.

    Raises:
        ImportTraceError: The template is not plain text with ``{field}`` in it.
    """

    def __init__(self, template: str) -> None:
        self._parts: list[tuple[str, str | None]] = []
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ImportTraceError(
                f"--breaker {template!r}: {error}; write fields as {{target}}"
            ) from error
        for text, name, spec, conversion in parts:
            if spec or conversion or (name is not None and not name.strip()):
                raise ImportTraceError(
                    f"--breaker {template!r}: only plain fields such as {{target}} can be used"
                )
            self._parts.append((text, name))

    @property
    def fields(self) -> list[str]:
        """The fields that the template names."""
        return [name for _, name in self._parts if name is not None]

    def names(self, columns: Sequence[Sequence[object]], size: int) -> list[str]:
        """Return the names of the breakers of many calls.

        Args:
            columns: The values of the template's fields, in their order.
            size: How many calls there are.
        """
        if len(self._parts) == 1 and columns and not self._parts[0][0]:
            return list(map(str, columns[0]))
        pattern = "".join(
            text.replace("%", "%%") + ("" if name is None else "%s") for text, name in self._parts
        )
        if not columns:
            return [pattern % ()] * size
        return [pattern % values for values in zip(*columns, strict=True)]
