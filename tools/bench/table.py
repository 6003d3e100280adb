"""The measurements as tables: for a terminal, and in Markdown."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.ours import DISK, RUNS
from bench.partner import INTERPRETED, OURS
from bench.results import Group, Result, Series

_FLOOR: Final = (
    "The floor is a wrapper that reads the monotonic clock twice, takes a lock and appends a tuple: "
    "recloser records every call, and no peer does. A column that ends in `/ it` has the ratio of "
    "recloser's figure to the row's. CPU is the processor time of the calling thread alone."
)


def head(result: Result) -> list[str]:
    """Lines on the machine, the versions, and what was not measured."""
    machine = result.machine
    where = (
        f"{machine['date']}, {machine['python']}, {machine['compiled']}, {machine['system']}, "
        f"{machine['processors']} x {machine['processor']}, load {machine['load']} at the start"
    )
    return [
        where,
        result.rule,
        ", ".join(f"{name} {number}" for name, number in result.versions.items()),
        *(f"not measured: {name}: {reason}" for name, reason in result.missing.items()),
    ]


def show(result: Result, console: Console) -> None:
    """Print every measurement."""
    for line in head(result):
        console.print(line, markup=False, highlight=False)
    for group in result.groups:
        columns, rows = cells(group)
        table = Table(title=f"{group.title}, {group.unit}", title_justify="left")
        for place, column in enumerate(columns):
            table.add_column(column, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table, markup=False, highlight=False)
        for name, reason in group.missing.items():
            console.print(f"not measured: {name}: {reason}", markup=False, highlight=False)


def markdown(result: Result) -> str:
    """Format every measurement as a Markdown table."""
    lines = ["# recloser and its peers, measured", "", _FLOOR, ""]
    lines += [f"{line}  " for line in head(result)]
    for group in result.groups:
        columns, rows = cells(group)
        lines += ["", f"## {group.title}, {group.unit}", ""]
        lines += as_markdown(columns, rows)
        if group.missing:
            lines.append("")
        lines += [f"Not measured: {name}: {reason}  " for name, reason in group.missing.items()]
    return "\n".join(lines) + "\n"


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of one Markdown table."""
    rule = ["---", *("---:" for _ in columns[1:])]
    return [f"| {' | '.join(row)} |" for row in (columns, rule, *rows)]


def cells(group: Group) -> tuple[list[str], list[list[str]]]:
    """The columns of a measurement, and its rows.

    The last columns have the ratio of recloser's figure to that of the row. If recloser is measured in
    several ways, it is the one with a log on disk.
    """
    reference = group[group.reference]
    ours = [group[name] for name in (DISK, RUNS) if name in group] or [
        series
        for series in group.series
        if series.name.startswith(OURS)
        and series.name != group.reference
        and not series.name.endswith(INTERPRETED)
    ]
    has_cpu = any(series.cpu for series in group.series)
    figures = list(dict.fromkeys(name for series in group.series for name in series.figures))
    columns = ["", "median", "range", f"of {group.reference}"]
    if has_cpu:
        columns += ["CPU", f"CPU of {group.reference}"]
    columns += [name.replace("_", " ") for name in figures]
    columns += [f"{series.name} / it" for series in ours]
    rows = []
    for series in group.series:
        low, high = series.spread
        row = [
            series.name,
            number(series.median),
            f"{number(low)} to {number(high)}",
            ratio(series.ratio_to(reference)),
        ]
        if has_cpu:
            row += [number(series.cpu_median), ratio(series.cpu_ratio_to(reference))]
        row += [_figure(series, name) for name in figures]
        row += [ratio(mine.ratio_to(series)) for mine in ours]
        rows.append(row)
    return columns, rows


def _figure(series: Series, name: str) -> str:
    figure = series.figures.get(name)
    return "" if figure is None else ratio(figure) if figure < 10 else number(figure)


def number(figure: float | None) -> str:
    """Format a figure with the digits that are significant."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"


def ratio(figure: float | None) -> str:
    """Format a ratio with the digits that are significant."""
    if figure is None:
        return ""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.2f}" if figure >= 0.1 else f"{figure:.2g}"
