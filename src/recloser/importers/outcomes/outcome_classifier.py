"""Outcomes of calls by rules, with a count for each combination of values."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import define, field, frozen

from recloser.core.events import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.outcomes.outcome_rules import (
    OUTCOMES,
    OutcomeRule,
    UserRules,
    Verdict,
    matcher,
)
from recloser.importers.values.conversion_cache import ConversionCache
from recloser.importers.values.field_text import MISSING, text_of

MAX_UNKNOWN_SHARE: Final = 0.01
"""An import is refused if a larger share of its calls has an unknown outcome."""

MAX_ROWS: Final = 1000
"""The largest number of rows in the table of outcomes; further values are counted together."""


@frozen
class OutcomeRow:
    """A row of the table of outcomes.

    Attributes:
        values: The values of the fields, in the order of the classifier's ``fields``.
        verdict: The verdict on these values.
        count: How many calls have them.
    """

    values: tuple[str, ...]
    verdict: Verdict
    count: int


class Classified(NamedTuple):
    """The outcome of a call.

    Attributes:
        verdict: The verdict on its values.
        outcome: The outcome that is logged.
        error: The name of the failure; None for a success.
        is_known: Whether the outcome is known; it is not for refused and unknown calls.
    """

    verdict: Verdict
    outcome: Outcome
    error: str | None
    is_known: bool


_Key: TypeAlias = tuple[Any, ...]


@define
class OutcomeClassifier:
    """Decides the outcome of calls, and counts them by the values that decided it.

    Attributes:
        rules: The rules of the format; the first that names a value of its field decides.
        user_rules: The rules of the user, which are tried first.
        counts: How many calls had each combination of values.
        beyond: How many calls got each verdict by values that are not in ``counts``, which is full.
    """

    rules: Sequence[OutcomeRule]
    user_rules: UserRules = field(factory=UserRules)
    counts: Counter[_Key] = field(factory=Counter)
    _classified: ConversionCache[Classified] = field(init=False)
    _patterns: list[list[tuple[Verdict, re.Pattern[str]]]] = field(init=False)
    _fields_of_failures: set[str] = field(init=False)
    _user_patterns: list[tuple[Verdict, re.Pattern[str]]] = field(init=False)
    beyond: Counter[Verdict] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self._classified = ConversionCache(self._classify)
        self._patterns = [rule.patterns() for rule in self.rules]
        # Only the values of a field that can mean a failure name an error.
        self._fields_of_failures = {
            r.field for r in self.rules if r.ignored or r.refused or r.failed
        }
        user_rules = OutcomeRule(
            field="",
            ignored=self.user_rules.ignored,
            failed=self.user_rules.failed,
            succeeded=self.user_rules.succeeded,
        )
        self._user_patterns = user_rules.patterns()

    @property
    def fields(self) -> list[str]:
        """The fields that the outcome rules look at, in their order."""
        return list(dict.fromkeys(rule.field for rule in self.rules))

    def classify(self, columns: Mapping[str, Sequence[Any]], size: int) -> list[Classified]:
        """Return the outcome of each of some calls, and count them.

        Args:
            columns: The values by the names of the fields.
            size: How many calls there are.
        """
        used = [columns[name] for name in self.fields]
        keys = list(zip(*used, strict=True)) if used else [()] * size
        try:
            classified = list(map(self._classified.__getitem__, keys))
        except TypeError:  # a list or an object is no key of a dictionary
            keys = [tuple(map(text_of, key)) for key in keys]
            classified = list(map(self._classified.__getitem__, keys))
        self._count(keys)
        return classified

    def _count(self, keys: Sequence[_Key]) -> None:
        for key, count in Counter(keys).items():
            if key in self.counts or len(self.counts) < MAX_ROWS:
                self.counts[key] += count
            else:
                self.beyond[self._classified[key].verdict] += count

    def _classify(self, key: _Key) -> Classified:
        texts = dict(zip(self.fields, map(text_of, key), strict=True))
        present = {name: text for name, text in texts.items() if text not in MISSING}
        of_failures = {
            name: text for name, text in present.items() if name in self._fields_of_failures
        }
        error = ",".join(dict.fromkeys((of_failures or present).values()))
        verdict = self._verdict(texts)
        if verdict is Verdict.UNKNOWN and self.user_rules.unknown is not None:
            verdict = self.user_rules.unknown
        is_known = verdict not in (Verdict.REFUSED, Verdict.UNKNOWN)
        error_or_none = None if verdict is Verdict.SUCCEEDED else error
        return Classified(verdict, OUTCOMES[verdict], error_or_none, is_known)

    def _verdict(self, texts: Mapping[str, str]) -> Verdict:
        for rule in self.rules:
            if found := _verdict_on(_values(rule, texts), self._user_patterns):
                return found
        for rule, patterns in zip(self.rules, self._patterns, strict=True):
            if found := _verdict_on(_values(rule, texts), patterns):
                return found
        return Verdict.UNKNOWN

    def table(self) -> list[OutcomeRow]:
        """Return the verdict and the count of each combination of values.

        The most frequent combination is the first.
        """
        rows = [
            OutcomeRow(tuple(map(text_of, key)), self._classified[key].verdict, count)
            for key, count in self.counts.most_common()
        ]
        width = max(1, len(self.fields))
        rows += [
            OutcomeRow(("other values",) + ("",) * (width - 1), verdict, count)
            for verdict, count in self.beyond.items()
        ]
        return rows

    def unused(self) -> list[str]:
        """Return the user's outcome values that no call has.

        The list is empty if there were too many values to keep them all.
        """
        if self.beyond:
            return []
        texts = {
            value
            for key in self.counts
            for rule in self.rules
            for value in _values(rule, dict(zip(self.fields, map(text_of, key), strict=True)))
        }
        named = (*self.user_rules.failed, *self.user_rules.succeeded, *self.user_rules.ignored)
        patterns = {value: matcher([value]) for value in named}
        return [value for value in named if not any(map(patterns[value].fullmatch, texts))]

    def check_unknown(self) -> None:
        """Refuse an import with too many unknown outcomes.

        Raises:
            ImportTraceError: More than 1 % of the calls have values that no rule names.
        """
        rows = [row for row in self.table() if row.verdict is Verdict.UNKNOWN]
        unknown = sum(row.count for row in rows)
        total = sum(self.counts.values()) + sum(self.beyond.values())
        if unknown <= total * MAX_UNKNOWN_SHARE:
            return
        fields = ", ".join(self.fields)
        if not fields:
            raise ImportTraceError(
                "the format does not say which calls failed: name the field with --outcome FIELD"
            )
        shown = "; ".join(
            f"{' '.join(filter(None, row.values)) or 'empty'} ({row.count:,})" for row in rows[:5]
        )
        raise ImportTraceError(
            f"the outcome of {unknown:,} of {total:,} calls is unknown: no rule names these values "
            f"of {fields}: {shown}. Say what they are with --failure, --success or --ignore VALUE, "
            f"or of all of them with --unknown failed, succeeded or ignored"
        )


def _values(rule: OutcomeRule, texts: Mapping[str, str]) -> list[str]:
    text = texts[rule.field]
    if not rule.split:
        return [text]
    return [part.strip() for part in text.split(rule.split)]


def _verdict_on(
    values: Sequence[str], patterns: Iterable[tuple[Verdict, re.Pattern[str]]]
) -> Verdict | None:
    for verdict, pattern in patterns:
        if any(map(pattern.fullmatch, values)):
            return verdict
    return None
