"""The tables of the page on performance: the measured figures that users need."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench import (
    appending,
    calls,
    column_table,
    hostile_table,
    importing,
    opening,
    ours,
    replaying,
    starting,
    tuning,
)
from bench.partner import INTERPRETED, OURS
from bench.peers import PEERS
from bench.results import Group, Result
from bench.table import as_markdown, number, ratio

BEGIN: Final = "<!-- what `python tools/bench --publish` measured -->"
END: Final = "<!-- end of what it measured -->"

_PATHS: Final = ("closed", "refused", "failing", "async-closed")
HEADS: Final = (
    "ns a call",
    "closed",
    "of it the caller's CPU",
    "refused",
    "failing",
    "async",
    "8 threads that wait 5 ms, calls/s",
    "bytes a breaker",
    "import, ms",
)


class NoMarkersError(Exception):
    """The file has no place for the table."""


def rewrite(path: Path, result: Result) -> None:
    """Put the tables between the markers of the file.

    Raises:
        NoMarkersError: The file does not have both markers, each once and in order.
    """
    before, after = around_the_tables(path)
    path.write_text(f"{before}{block(result)}{after}", encoding="utf-8")


def around_the_tables(path: Path) -> tuple[str, str]:
    """The text of the file up to the first marker and from the second one on.

    Raises:
        NoMarkersError: The file does not have both markers, each once and in order.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarkersError(f"{path}: the lines {BEGIN!r} and {END!r} must be there")
    return f"{before}{begin}", f"{end}{after}"


def block(result: Result) -> str:
    """The text between the markers."""
    machine = result.machine
    rule = (
        f"Measured {machine['date']} on {machine['processors']} processors ({machine['processor']}), "
        f"{machine['python']}, {machine['compiled']}. {result.rule}"
    )
    lines = [*as_markdown(HEADS, list(_rows(result))), "", rule, ""]
    for table in (hostile_table.cells(result), column_table.cells(result)):
        if table is not None:
            lines += [*as_markdown(*table), ""]
    lines += [f"- {line}" for line in _sentences(result)]
    lines += [f"- not measured: {name}: {reason}" for name, reason in result.missing.items()]
    return "\n".join(lines) + "\n"


def _rows(result: Result) -> Iterator[Sequence[str]]:
    groups = [result.group(key) for key in _PATHS]
    waiting = result.group("threads-waiting")
    memory, starts = result.group("memory"), result.group("import")
    named = dict.fromkeys(s.name for group in groups if group is not None for s in group.series)
    for name in sorted(named, key=_place):
        yield (
            _shown(name, result),
            _median(groups[0], name),
            _cpu(groups[0], name),
            *(_median(group, name) for group in groups[1:]),
            _median(waiting, name),
            _median(memory, name),
            _median(starts, _imported(name)),
        )


def _place(name: str) -> int:
    """The position of a row: the floors, then recloser, then the others."""
    return 0 if name in (calls.BARE, calls.FLOOR) else 1 if name.startswith(OURS) else 2


def _imported(name: str) -> str:
    if not name.startswith(OURS):
        return name
    return starting.RECLOSER + (INTERPRETED if name.endswith(INTERPRETED) else "")


def _shown(name: str, result: Result) -> str:
    if name.startswith(OURS):
        return f"**{name}**"
    distribution = {peer.name: peer.distribution for peer in PEERS}.get(name, name)
    return f"{name} {result.versions.get(distribution, '')}".strip()


def _median(group: Group | None, name: str) -> str:
    return number(group[name].median) if group is not None and name in group else ""


def _cpu(group: Group | None, name: str) -> str:
    return number(group[name].cpu_median) if group is not None and name in group else ""


def _sentences(result: Result) -> Iterator[str]:
    yield from _closed(result)
    if (group := result.group("threads-8")) is not None:
        share = group[ours.DISK].figures.get("share_lost", 0)
        if share:
            yield (
                f"8 threads whose calls do nothing outrun the log's thread: {share:.0%} of their calls "
                "were counted in gaps, and not written"
            )
    if (group := result.group("append")) is not None:
        sentence = f"appending: {_rate(group, appending.APPEND)}"
        if appending.EVENTSOURCING in group:
            times = group[appending.APPEND].median / group[appending.EVENTSOURCING].median
            sentence += f", and {number(times)} times that of `eventsourcing` on SQLite"
        yield sentence
    if (group := result.group("replay")) is not None:
        times = group[replaying.REPLAY].ratio_to(group[replaying.TRANSITIONS])
        yield (
            f"replaying JSON lines: {_rate(group, replaying.REPLAY)}, and {number(times)} times "
            "that of handing every outcome to `transitions`"
        )
    yield from _tuning(result)
    yield from _imports(result)
    if (group := result.group("opening")) is not None:
        share = group[opening.OPEN].ratio_to(group[opening.FOLD])
        yield f"{group.title.lower()}: {share:.2%} of the time that folding it whole takes"
    if (group := result.group("start")) is not None:
        share = group[starting.VERSION].ratio_to(group[starting.LIBRARIES])
        yield f"`{starting.VERSION}` takes {ratio(share)} times `{starting.LIBRARIES}`"


def _closed(result: Result) -> Iterator[str]:
    """The cost of recording one call, for the thread that makes it."""
    group = result.group("closed")
    if group is None:
        return
    for name in (ours.DISK, ours.RUNS):
        if name in group:
            cpu = group[name].cpu_ratio_to(group[group.reference])
            yield (
                f"closed path, {name}: {ratio(group[name].ratio_to(group[group.reference]))} of the "
                f"floor while the log's thread writes beside it, {ratio(cpu)} of the calling thread's "
                "own processor time"
            )


def _tuning(result: Result) -> Iterator[str]:
    for share in tuning.SHARES:
        found = [
            f"{ratio(group[tuning.TUNE].median / 1000)} s by {kind}"
            for kind in tuning.KINDS
            if (group := result.group(tuning.key_of(kind, share))) is not None
        ]
        if found:
            yield f"1,000 settings on a million calls, {share:.2%} fail: {_listed(found)}"


def _imports(result: Result) -> Iterator[str]:
    if (group := result.group("importing")) is not None:
        found = [
            f"{group[name].median / 1e6:.2f} of {kind}"
            for kind in importing.KINDS
            if (name := importing.name_of(kind)) in group
        ]
        yield f"importing traces: million {importing.LINES}: {_listed(found)}"


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]


def _rate(group: Group, name: str) -> str:
    series = group[name]
    share = ratio(series.ratio_to(group[group.reference]))
    return f"{series.median / 1e6:.2f} million events/s, {share} of the rate of {group.reference}"
