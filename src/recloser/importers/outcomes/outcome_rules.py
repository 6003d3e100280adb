"""Outcome rules: which values mean success, failure, neither, or a rejected call."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from attrs import frozen

from recloser.core.events import Outcome


class Verdict(Enum):
    """Decision of an outcome rule about a call: succeeded, failed and so on."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"
    REFUSED = "refused"  # by the caller's own breaker or limit, so its outcome is not known
    UNKNOWN = "unknown"


OUTCOMES: Final[Mapping[Verdict, Outcome]] = {
    Verdict.SUCCEEDED: Outcome.SUCCEEDED,
    Verdict.FAILED: Outcome.FAILED,
    Verdict.IGNORED: Outcome.IGNORED,
    Verdict.REFUSED: Outcome.IGNORED,
    Verdict.UNKNOWN: Outcome.IGNORED,
}
"""The outcome that is logged for each verdict; a label of the call marks unknown outcomes."""

_RULE_VERDICTS: Final = (Verdict.IGNORED, Verdict.REFUSED, Verdict.FAILED, Verdict.SUCCEEDED)


@frozen(kw_only=True)
class OutcomeRule:
    """Outcomes of calls by the values of one field.

    A value is written as it is; as ``5xx`` for three digits that begin with 5; as a range,
    ``500-599``; or with ``*`` for any text before or after it, ``timeout*``. If several verdicts
    name a value, the first of ignored, refused, failed and succeeded applies. A value that no rule
    names is unknown.

    Attributes:
        field: The name of the field.
        split: The text between several values in the field; empty for one value.
        elsewhere: Whether the values mean the same in another field, which the user names with
            ``--outcome``.
        ignored: Values that say nothing about the service that was called.
        refused: Values of calls that the caller's own breaker or limit did not let through.
        failed: Values of failures.
        succeeded: Values of successes.
    """

    field: str
    split: str = ""
    elsewhere: bool = True
    ignored: Sequence[str] = ()
    refused: Sequence[str] = ()
    failed: Sequence[str] = ()
    succeeded: Sequence[str] = ()

    def patterns(self) -> list[tuple[Verdict, re.Pattern[str]]]:
        """Return the expressions that match the values of each verdict."""
        values_by_verdict = (self.ignored, self.refused, self.failed, self.succeeded)
        return [
            (verdict, matcher(values))
            for verdict, values in zip(_RULE_VERDICTS, values_by_verdict, strict=True)
            if values
        ]


def matcher(values: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that matches values, written as in ``OutcomeRule``."""
    return re.compile("|".join(map(_alternative, values)) or r"(?!)", re.DOTALL)


def _alternative(value: str) -> str:
    if re.fullmatch(r"\dxx", value):
        return rf"{value[0]}\d\d"
    if bounds := re.fullmatch(r"(\d{1,3})-(\d{1,3})", value):
        return "|".join(map(str, range(int(bounds[1]), int(bounds[2]) + 1))) or r"(?!)"
    literal = value.strip("*")
    before = ".*" if value.startswith("*") and literal else ""
    return before + re.escape(literal) + (".*" if value.endswith("*") else "")


@frozen(kw_only=True)
class UserRules:
    """Outcome rules of the user, which are tried before every rule of a format.

    Attributes:
        failed: Values of failures, in any field that the format has rules for.
        succeeded: Values of successes.
        ignored: Values that say nothing about the service that was called.
        unknown: The verdict on calls that no rule names; None to refuse an import with many of them.
    """

    failed: Sequence[str] = ()
    succeeded: Sequence[str] = ()
    ignored: Sequence[str] = ()
    unknown: Verdict | None = None
