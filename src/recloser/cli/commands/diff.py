"""``recloser diff``: where two histories part."""

import shlex
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
from attrs import frozen

from recloser import cli
from recloser.cli.options import json_option, log_path, noted
from recloser.cli.render.differences import Line, comparison_data, lines_of, print_lines
from recloser.cli.render.terminal import note, print_json, printable
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event
from recloser.core.settings import read_settings
from recloser.golden.golden_file import read_golden
from recloser.golden.golden_pairs import config_in
from recloser.history.difference import compare
from recloser.history.engine import is_traffic, replay
from recloser.history.summary import HistorySummary, summarize
from recloser.log.reader import LogReader


@frozen
class _Side:
    """One of the two histories, under the name that it is shown with."""

    name: str
    outline: HistorySummary
    events: Iterable[Event] | None


@click.command(short_help="Say where two histories part.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option(
    "--config",
    "config_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Settings for imported traffic, in TOML or JSON; twice where there is no B.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="One setting for imported traffic, after the file; repeatable.",
)
@json_option
def command(
    *,
    first: str,
    second: str | None,
    config_paths: Sequence[Path],
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Say where the histories A and B part: the edges that differ, by how much, the first event.

    Each is a log, - for standard input, or a golden file, in any order. Imported traffic is driven
    with the settings given, else with those in the golden file.

    Without B, A is imported traffic under two configurations: the first --config, or the defaults,
    against the second, or the same, with every --set on top.
    """
    with ExitStack() as stack:
        if second is None:
            sides = _under_two(
                stack.enter_context(log_path(first)), first, config_paths, assignments
            )
        else:
            paths = [stack.enter_context(log_path(path)) for path in (first, second)]
            sides = _of_two(paths, (first, second), config_paths, assignments)
        old, new = sides
        comparison = compare(
            old.outline,
            new.outline,
            same_log=False,
            old_events=old.events,
            new_events=new.events,
        )
    if as_json:
        print_json(
            {
                "schema": "recloser.diff/1",
                "old": old.name,
                "new": new.name,
                **comparison_data(comparison),
            }
        )
    elif comparison:
        print_lines(
            (Line(f"--- {printable(old.name)}", "old"), Line(f"+++ {printable(new.name)}", "new"))
        )
        print_lines(lines_of(comparison))
    else:
        print_lines((Line(f"the histories are the same; digest {new.outline.digest[:16]}"),))
    return cli.DIFFERENCE if comparison else 0


def _under_two(
    path: Path, name: str, config_paths: Sequence[Path], assignments: Sequence[str]
) -> Sequence[_Side]:
    if len(config_paths) + bool(assignments) == 0 or len(config_paths) > 2:  # noqa: PLR2004  # a pair
        raise click.UsageError(
            "give B, or one or two --config and any --set: the same traffic under two configurations"
        )
    if _is_golden(path):
        raise click.UsageError("a golden file has no traffic: give B, or the log beside it")
    base = config_paths[0] if config_paths else None
    second_base = config_paths[-1] if config_paths else None
    told = " ".join(f"--set {shlex.quote(assignment)}" for assignment in assignments)
    old = _side(path, f"{name} under {base or 'the defaults'}", read_settings(base))
    new = _side(
        path,
        f"{name} under {' '.join(filter(None, (str(second_base or 'the defaults'), told)))}",
        read_settings(second_base, assignments),
    )
    return old, new


def _of_two(
    paths: Sequence[Path],
    names: Sequence[str],
    config_paths: Sequence[Path],
    assignments: Sequence[str],
) -> Sequence[_Side]:
    if len(config_paths) > 1:
        raise click.UsageError("two logs are driven with one configuration: give one --config")
    goldens = [read_golden(path) if _is_golden(path) else None for path in paths]
    config = None
    if config_paths or assignments:
        config = read_settings(config_paths[0] if config_paths else None, assignments)
    sides = []
    for path, name, golden, other in zip(paths, names, goldens, reversed(goldens), strict=True):
        if golden is not None:
            sides.append(_Side(name, golden, None))
            continue
        settings = config
        if settings is None and other is not None:
            settings = config_in(other)
        sides.append(_side(path, name, settings if is_traffic(LogReader(path)) else None))
    if config is not None and all(side.outline.driven_with is None for side in sides):
        note("the settings given drive nothing: neither is imported traffic")
    return sides


def _side(path: Path, name: str, config: CircuitBreakerConfig | None) -> _Side:
    """A log's history; settings that are given for a log that breakers wrote are refused."""
    if config is None and is_traffic(LogReader(path)):
        config = CircuitBreakerConfig()
    history = noted(path, replay(path, config=config))
    for difference in history.differences[:1]:
        note(f"{name}: its history parts at seq {difference.seq} from what was witnessed live")
    return _Side(name, summarize(history, config), history.events)


def _is_golden(path: Path) -> bool:
    return path.suffix == ".json"
