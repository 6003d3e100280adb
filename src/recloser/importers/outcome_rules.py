"""How calls ended, by rules: what no rule names is unknown, and is counted, never guessed."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import define, field, frozen

from recloser.core.events import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.memo import Memo

MOST_UNKNOWN: Final = 0.01
"""An import is refused when a larger share of its calls than this has an unknown outcome."""

MOST_ROWS: Final = 1000
"""The table of outcomes has this many rows; the values beyond them are counted together."""

MISSING: Final = (None, "", "-")
"""Values by which a field says that it has none."""


class Verdict(Enum):
    """How a rule judges a value."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"
    REFUSED = "refused"  # by a breaker or limit of its own, so how it would have ended is not known
    UNKNOWN = "unknown"


OUTCOMES: Final[Mapping[Verdict, Outcome]] = {
    Verdict.SUCCEEDED: Outcome.SUCCEEDED,
    Verdict.FAILED: Outcome.FAILED,
    Verdict.IGNORED: Outcome.IGNORED,
    Verdict.REFUSED: Outcome.IGNORED,
    Verdict.UNKNOWN: Outcome.IGNORED,
}
"""How a call with a verdict is written; the log keeps apart those whose end is not known."""

_RULE_VERDICTS: Final = (Verdict.IGNORED, Verdict.REFUSED, Verdict.FAILED, Verdict.SUCCEEDED)


@frozen(kw_only=True)
class OutcomeRule:
    """A rule: how calls ended, by the values of one field.

    A value is named by itself, as ``5xx`` for three digits that begin with 5, by a range as
    ``500-599``, with ``*`` for any text before or after it, as ``timeout*``. Of several that name a
    value, the first in the order ignored, refused, failed, succeeded holds.

    Attributes:
        field: The field.
        split: What stands between several values in it; empty for one value.
        ignored: Values that say nothing about what was called.
        refused: Values of calls that were not let through.
        failed: Values of failures.
        succeeded: Values of successes.
        elsewhere: Whether the values mean the same in another field, which a user names for outcomes.
    """

    field: str
    split: str = ""
    elsewhere: bool = True
    ignored: Sequence[str] = ()
    refused: Sequence[str] = ()
    failed: Sequence[str] = ()
    succeeded: Sequence[str] = ()

    def patterns(self) -> list[tuple[Verdict, re.Pattern[str]]]:
        """What matches the values of each verdict."""
        named = (self.ignored, self.refused, self.failed, self.succeeded)
        return [
            (verdict, matcher(values))
            for verdict, values in zip(_RULE_VERDICTS, named, strict=True)
            if values
        ]


def matcher(values: Iterable[str]) -> re.Pattern[str]:
    """The expression that matches all values which these name."""
    return re.compile("|".join(map(_alternative, values)) or r"(?!)", re.DOTALL)


def _alternative(value: str) -> str:
    if re.fullmatch(r"\dxx", value):
        return rf"{value[0]}\d\d"
    if bounds := re.fullmatch(r"(\d{1,3})-(\d{1,3})", value):
        return "|".join(map(str, range(int(bounds[1]), int(bounds[2]) + 1))) or r"(?!)"
    within = value.strip("*")
    before = ".*" if value.startswith("*") and within else ""
    return before + re.escape(within) + (".*" if value.endswith("*") else "")


@frozen(kw_only=True)
class OwnRules:
    """Rules of the user, which hold before every rule of a format.

    Attributes:
        failed: Values of failures, in any field that rules look at.
        succeeded: Values of successes.
        ignored: Values that say nothing about what was called.
        unknown: What calls that no rule names are taken for; None to refuse too many of them.
    """

    failed: Sequence[str] = ()
    succeeded: Sequence[str] = ()
    ignored: Sequence[str] = ()
    unknown: Verdict | None = None


@frozen
class OutcomeRow:
    """A row of the table of outcomes.

    Attributes:
        values: The values of the fields, in the order of the table's.
        verdict: What they were taken for.
        count: Of how many calls.
    """

    values: tuple[str, ...]
    verdict: Verdict
    count: int


class Judged(NamedTuple):
    """How a call ended.

    Attributes:
        verdict: What its values were taken for.
        outcome: How that is written.
        error: What names it where it is no success.
        is_known: Whether it is known at all.
    """

    verdict: Verdict
    outcome: Outcome
    error: str | None
    is_known: bool


_Key: TypeAlias = tuple[Any, ...]


@define
class Judge:
    """Says how calls ended, and counts what it took each value for.

    Attributes:
        rules: Those of the format; the first that names a value of its field decides.
        own: The user's.
        counts: How many calls had each combination of values.
    """

    rules: Sequence[OutcomeRule]
    own: OwnRules = OwnRules()
    counts: Counter[_Key] = field(factory=Counter)
    _judged: Memo[Judged] = field(init=False)
    _patterns: list[list[tuple[Verdict, re.Pattern[str]]]] = field(init=False)
    _naming: set[str] = field(init=False)
    _own_patterns: list[tuple[Verdict, re.Pattern[str]]] = field(init=False)
    beyond: Counter[Verdict] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self._judged = Memo(self._judge)
        self._patterns = [rule.patterns() for rule in self.rules]
        # A field whose values can only mean success does not name failures.
        self._naming = {r.field for r in self.rules if r.ignored or r.refused or r.failed}
        own = OutcomeRule(
            field="", ignored=self.own.ignored, failed=self.own.failed, succeeded=self.own.succeeded
        )
        self._own_patterns = own.patterns()

    @property
    def fields(self) -> list[str]:
        """The fields that rules look at, in their order."""
        return list(dict.fromkeys(rule.field for rule in self.rules))

    def judge(self, columns: Mapping[str, Sequence[Any]], size: int) -> list[Judged]:
        """How each of some calls ended.

        Args:
            columns: The values of the fields.
            size: How many calls they are.
        """
        used = [columns[name] for name in self.fields]
        keys = list(zip(*used, strict=True)) if used else [()] * size
        try:
            judged = list(map(self._judged.__getitem__, keys))
        except TypeError:  # a value that is a list or an object
            keys = [tuple(map(text_of, key)) for key in keys]
            judged = list(map(self._judged.__getitem__, keys))
        self._count(keys)
        return judged

    def _count(self, keys: Sequence[_Key]) -> None:
        for key, count in Counter(keys).items():
            if key in self.counts or len(self.counts) < MOST_ROWS:
                self.counts[key] += count
            else:
                self.beyond[self._judged[key].verdict] += count

    def _judge(self, key: _Key) -> Judged:
        texts = dict(zip(self.fields, map(text_of, key), strict=True))
        there = {name: text for name, text in texts.items() if text not in MISSING}
        naming = {name: text for name, text in there.items() if name in self._naming}
        error = ",".join(dict.fromkeys((naming or there).values()))
        verdict = self._verdict(texts)
        if verdict is Verdict.UNKNOWN and self.own.unknown is not None:
            verdict = self.own.unknown
        is_known = verdict not in (Verdict.REFUSED, Verdict.UNKNOWN)
        named = None if verdict is Verdict.SUCCEEDED else error
        return Judged(verdict, OUTCOMES[verdict], named, is_known)

    def _verdict(self, texts: Mapping[str, str]) -> Verdict:
        for rule in self.rules:
            if found := _named(_values(rule, texts), self._own_patterns):
                return found
        for rule, patterns in zip(self.rules, self._patterns, strict=True):
            if found := _named(_values(rule, texts), patterns):
                return found
        return Verdict.UNKNOWN

    def table(self) -> list[OutcomeRow]:
        """What each combination of values was taken for, the most frequent first."""
        rows = [
            OutcomeRow(tuple(map(text_of, key)), self._judged[key].verdict, count)
            for key, count in self.counts.most_common()
        ]
        width = max(1, len(self.fields))
        rows += [
            OutcomeRow(("other values",) + ("",) * (width - 1), verdict, count)
            for verdict, count in self.beyond.items()
        ]
        return rows

    def unused(self) -> list[str]:
        """The values that the user names and no call has; empty where not all values are kept."""
        if self.beyond:
            return []
        texts = {
            value
            for key in self.counts
            for rule in self.rules
            for value in _values(rule, dict(zip(self.fields, map(text_of, key), strict=True)))
        }
        named = (*self.own.failed, *self.own.succeeded, *self.own.ignored)
        patterns = {value: matcher([value]) for value in named}
        return [value for value in named if not any(map(patterns[value].fullmatch, texts))]

    def check_unknown(self) -> None:
        """Refuse an import of which too many outcomes are unknown.

        Raises:
            ImportTraceError: More than 1 % of the calls have values that no rule names.
        """
        rows = [row for row in self.table() if row.verdict is Verdict.UNKNOWN]
        unknown = sum(row.count for row in rows)
        total = sum(self.counts.values()) + sum(self.beyond.values())
        if unknown <= total * MOST_UNKNOWN:
            return
        fields = ", ".join(self.fields)
        if not fields:
            raise ImportTraceError(
                "nothing says which calls failed: name the field with --outcome FIELD"
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


def _named(
    values: Sequence[str], patterns: Iterable[tuple[Verdict, re.Pattern[str]]]
) -> Verdict | None:
    for verdict, pattern in patterns:
        if any(map(pattern.fullmatch, values)):
            return verdict
    return None


def text_of(value: Any) -> str:
    """A value of a record as text: nothing for None, ``true`` and ``false`` as JSON has them."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
