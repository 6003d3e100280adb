"""The table of folding by columns, for the page on performance: one row per rule, one column per engine."""

from bench import columns
from bench.hostile_table import Cells
from bench.results import Group, Result
from bench.table import number, ratio

_ENGINES = (columns.COLUMNS, columns.PARQUET, columns.FOLD)


def cells(result: Result) -> Cells | None:
    """The headings and rows; None if not every rule was measured at every share of failures."""
    shares = " / ".join(f"{100 * share:g}" for share in columns.SHARES)
    fewer = " / ".join(f"{100 * share:g}" for share in columns.SHARES[1:])
    heads = [
        f"million events/s, {shares} % fail",
        *(name.removeprefix("recloser, ") for name in _ENGINES),
        "out of Parquet, of pyarrow's decoding",
        f"µs an edge, {fewer} % fail",
        "rows and edges measured apart, of the whole",
    ]
    rows = []
    for kind in columns.KINDS:
        folds = _groups(result, kind, "columns")
        edges = _groups(result, kind, "edges")
        if len(folds) < len(columns.SHARES) or len(edges) < len(columns.SHARES) - 1:
            return None
        rows.append(
            [
                kind,
                *(" / ".join(_million(group, name) for group in folds) for name in _ENGINES),
                " / ".join(_of_reference(group, columns.PARQUET) for group in folds),
                " / ".join(number(group[columns.EDGES].figures[columns.EACH]) for group in edges),
                " / ".join(_of_reference(group, columns.SUM) for group in edges),
            ]
        )
    return heads, rows


def _groups(result: Result, kind: str, prefix: str) -> list[Group]:
    keys = [columns.key_of(kind, share, prefix) for share in columns.SHARES]
    return [group for key in keys if (group := result.group(key)) is not None]


def _million(group: Group, name: str) -> str:
    return number(group[name].median / 1e6)


def _of_reference(group: Group, name: str) -> str:
    return ratio(group[name].ratio_to(group[group.reference]))
