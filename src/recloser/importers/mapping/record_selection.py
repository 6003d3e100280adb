"""Selection of the records that are calls.

A log may hold others, such as rows of other metrics.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recloser.importers.outcomes.outcome_rules import matcher
from recloser.importers.values.field_text import MISSING, text_of

_SHOWN_CHARS: Final = 60
_MAX_REASONS: Final = 20


class RecordSelection:
    """Selects records by the values of their fields.

    A record is selected if, for every field, one of the values names the record's own. Values are
    written as in outcome rules, and ``*`` is any value except a missing one. Values that begin with
    ``!`` name what is not selected; if a field has only such values, a missing value is selected.

    Args:
        where: The values by the names of their fields.
        outcome_fields: The fields that say how a call ended. A record without any of them is no call.
            Empty if every record is about a call.
    """

    def __init__(
        self, where: Mapping[str, Sequence[str]], outcome_fields: Sequence[str] = ()
    ) -> None:
        self._wanted = {
            name: matcher([value for value in values if not value.startswith("!")])
            for name, values in where.items()
            if any(not value.startswith("!") for value in values)
        }
        self._unwanted = {
            name: matcher([value[1:] for value in values if value.startswith("!")])
            for name, values in where.items()
        }
        self._outcome_fields = list(outcome_fields)
        self._skipped: Counter[str] = Counter()

    @property
    def fields(self) -> list[str]:
        """The fields whose values decide whether a record is a call."""
        return list(dict.fromkeys([*self._unwanted, *self._outcome_fields]))

    def __call__(
        self, columns: Mapping[str, Sequence[Any]], size: int
    ) -> tuple[list[int] | None, dict[str, int]]:
        """Select rows.

        Args:
            columns: The values by the names of the fields.
            size: How many rows there are.

        Returns:
            The selected rows, None for all; and how many others there are, by reason.
        """
        if not self._unwanted and not self._outcome_fields:
            return None, {}
        selected: list[int] = list(range(size))
        skipped: Counter[str] = Counter()
        for name in self._unwanted:
            texts = [text_of(value) for value in columns[name]]
            is_selected = {text: self._is_selected(name, text) for text in set(texts)}
            skipped.update(
                self._reason(name, texts[row]) for row in selected if not is_selected[texts[row]]
            )
            selected = [row for row in selected if is_selected[texts[row]]]
        if self._outcome_fields:
            outcomes = [columns[name] for name in self._outcome_fields]
            without = [row for row in selected if all(text_of(c[row]) in MISSING for c in outcomes)]
            if without:
                skipped[f"without {' and '.join(self._outcome_fields)}"] += len(without)
                selected = sorted(set(selected) - set(without))
        return (None if len(selected) == size else selected), dict(skipped)

    def _is_selected(self, name: str, text: str) -> bool:
        if name in self._wanted and (text in MISSING or not self._wanted[name].fullmatch(text)):
            return False
        return not self._unwanted[name].fullmatch(text)

    def _reason(self, name: str, text: str) -> str:
        reason = f"with {name} {text[:_SHOWN_CHARS]}" if text not in MISSING else f"without {name}"
        # The table of reasons stays small, however many values there are.
        if reason not in self._skipped and len(self._skipped) >= _MAX_REASONS:
            return f"with other values of {name}"
        self._skipped[reason] += 1
        return reason
