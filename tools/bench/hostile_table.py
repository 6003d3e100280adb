"""The table of calls that fail at random, for the page on performance: one row per library, one column per rule."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from bench import hostile, ours, rules
from bench.results import Group, Result
from bench.table import ratio

Cells: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]

_ROWS: Final = (ours.NO_LOG, ours.DISK, ours.RUNS, *rules.PEERS)


def cells(result: Result) -> Cells | None:
    """The headings and rows; None if not every rule was measured at every percentage."""
    columns = [
        [result.group(hostile.key_of(rule, share)) for share in hostile.SHARES]
        for rule in rules.RULES
    ]
    measured = [
        groups for column in columns if len(groups := [g for g in column if g]) == len(column)
    ]
    if len(measured) < len(columns):
        return None
    shares = " / ".join(map(str, hostile.SHARES))
    heads = [f"of the floor, {shares} % fail"]
    heads += [f"{rule.kind}, {'trips' if rule.trips else 'borne'}" for rule in rules.RULES]
    rows = [
        [_shown(name), *(_ratios(groups, name) for groups in measured)]
        for name in _ROWS
        if any(name in groups[0] for groups in measured)
    ]
    return heads, rows


def _shown(name: str) -> str:
    return name if name in rules.PEERS else f"**{name}**"


def _ratios(groups: Sequence[Group], name: str) -> str:
    if name not in groups[0]:
        return ""
    return " / ".join(ratio(group[name].ratio_to(group[group.reference])) for group in groups)
