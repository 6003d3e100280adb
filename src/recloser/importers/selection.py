"""Which records are calls: a log may hold others, such as rows of other metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recloser.importers.outcome_rules import MISSING, matcher, text_of

_SHOWN: Final = 60
_MOST: Final = 20
_OTHERS: Final = "other values"


class Selection:
    """Keeps the records whose fields have certain values.

    A record is kept if, for every field, one of the values names its own, in the way of rules for
    outcomes; ``*`` is any but a missing one. Values that begin with ``!`` name what is not kept; then
    a missing value is.

    Args:
        where: The values by their fields.
        outcome_fields: The fields that say how a call ended, where a record without any of them is about
            something else.
    """

    def __init__(
        self, where: Mapping[str, Sequence[str]], outcome_fields: Sequence[str] = ()
    ) -> None:
        self._kept = {
            name: matcher([value for value in values if not value.startswith("!")])
            for name, values in where.items()
            if any(not value.startswith("!") for value in values)
        }
        self._dropped = {
            name: matcher([value[1:] for value in values if value.startswith("!")])
            for name, values in where.items()
        }
        self._outcome_fields = list(outcome_fields)
        self._skipped: Counter[str] = Counter()

    @property
    def fields(self) -> list[str]:
        """The fields that are looked at."""
        return list(dict.fromkeys([*self._dropped, *self._outcome_fields]))

    def __call__(
        self, columns: Mapping[str, Sequence[Any]], size: int
    ) -> tuple[list[int] | None, dict[str, int]]:
        """The rows that are kept, None for all of them; and how many others there are, by what they are."""
        if not self._dropped and not self._outcome_fields:
            return None, {}
        kept: list[int] = list(range(size))
        skipped: Counter[str] = Counter()
        for name in self._dropped:
            texts = [text_of(value) for value in columns[name]]
            is_kept = {text: self._is_kept(name, text) for text in set(texts)}
            skipped.update(self._what(name, texts[row]) for row in kept if not is_kept[texts[row]])
            kept = [row for row in kept if is_kept[texts[row]]]
        if self._outcome_fields:
            outcomes = [columns[name] for name in self._outcome_fields]
            without = [row for row in kept if all(text_of(c[row]) in MISSING for c in outcomes)]
            if without:
                skipped[f"without {' and '.join(self._outcome_fields)}"] += len(without)
                kept = sorted(set(kept) - set(without))
        return (None if len(kept) == size else kept), dict(skipped)

    def _is_kept(self, name: str, text: str) -> bool:
        if name in self._kept and (text in MISSING or not self._kept[name].fullmatch(text)):
            return False
        return not self._dropped[name].fullmatch(text)

    def _what(self, name: str, text: str) -> str:
        what = f"with {name} {text[:_SHOWN]}" if text not in MISSING else f"without {name}"
        # The table of what is skipped keeps its size, whatever the values.
        if what not in self._skipped and len(self._skipped) >= _MOST:
            return f"with other values of {name}"
        self._skipped[what] += 1
        return what
