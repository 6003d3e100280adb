"""``recloser diff``: how two histories differ."""

import shlex
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from attrs import frozen

from recloser import cli
from recloser.cli.log_input import log_path, note_tail
from recloser.cli.options import examples, json_option
from recloser.cli.render.differences import Line, lines_of, print_lines
from recloser.cli.render.schemas.history_schemas import diff_object
from recloser.cli.render.terminal import note, print_json
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event
from recloser.core.formatting import printable
from recloser.core.settings import read_settings
from recloser.golden.golden_file import read_golden
from recloser.golden.golden_pairs import config_in
from recloser.history.difference import compare
from recloser.history.engine import is_traffic, replay
from recloser.history.summary import HistorySummary, summarize
from recloser.log.reader import LogReader

_MOST_CONFIGS: Final = 2


@frozen
class _Side:
    """One of the two histories.

    Attributes:
        name: The name that it is shown with.
        outline: What is compared.
        events: The events of the log; None for a golden file.
    """

    name: str
    outline: HistorySummary
    events: Iterable[Event] | None


@click.command(
    short_help="Compare two histories, or one trace under two configurations.",
    epilog=examples(
        "recloser diff calls calls.golden.json",
        "recloser diff calls --set failure_threshold=3",
        "recloser diff calls --config old.toml --config new.toml",
    ),
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option(
    "--config",
    "config_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A TOML or JSON file with the settings of the breakers that imported calls drive. Without B "
    "it can be given twice, for the two configurations.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="One setting, such as failure_threshold=3, applied after the file. Can be repeated.",
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
    """Show how the histories A and B differ: the edges, by how much, and the first event.

    A and B are each a log, a golden file, or - for standard input. Imported calls drive breakers
    with the settings given, else with those in the golden file, else with the defaults.

    Without B, A must hold imported calls, which drive breakers under two configurations: the first
    --config, or the defaults, against the second --config, or the same one, with every --set
    applied.

    Exit status: 1 the histories differ.
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
        print_json(diff_object(old.name, new.name, comparison))
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
    """Return both sides of a comparison of one log of imported calls under two configurations."""
    is_one_configuration = not config_paths and not assignments
    if is_one_configuration or len(config_paths) > _MOST_CONFIGS:
        raise click.UsageError(
            "give B, or one or two --config and any --set: the same traffic under two configurations"
        )
    if _is_golden(path):
        raise click.UsageError("a golden file has no traffic: give B, or the log beside it")
    base = config_paths[0] if config_paths else None
    second_base = config_paths[-1] if config_paths else None
    options = " ".join(f"--set {shlex.quote(assignment)}" for assignment in assignments)
    old = _side(path, f"{name} under {base or 'the defaults'}", read_settings(base))
    new = _side(
        path,
        f"{name} under {' '.join(filter(None, (str(second_base or 'the defaults'), options)))}",
        read_settings(second_base, assignments),
    )
    return old, new


def _of_two(
    paths: Sequence[Path],
    names: Sequence[str],
    config_paths: Sequence[Path],
    assignments: Sequence[str],
) -> Sequence[_Side]:
    """Return both sides of a comparison of two logs or golden files."""
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
        note("the settings given have no effect: neither history is that of imported traffic")
    return sides


def _side(path: Path, name: str, config: CircuitBreakerConfig | None) -> _Side:
    """Replay a log; settings for a log that breakers wrote are refused."""
    if config is None and is_traffic(LogReader(path)):
        config = CircuitBreakerConfig()
    history = replay(path, config=config)
    note_tail(path, history.tail)
    for difference in history.differences[:1]:
        note(f"{name}: at seq {difference.seq} its history differs from what was recorded live")
    return _Side(name, summarize(history, config), history.events)


def _is_golden(path: Path) -> bool:
    return path.suffix == ".json"
