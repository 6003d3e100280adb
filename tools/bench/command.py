"""The command: prepares the environment, measures in it, and writes what was asked for."""

import argparse
import contextlib
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from attrs import evolve
from rich.console import Console

from bench import (
    appending,
    calls,
    columns,
    importing,
    machine,
    memory,
    opening,
    ours,
    plot,
    readme,
    replaying,
    starting,
    table,
    threads,
)
from bench.adapters import Adapter
from bench.effort import FULL, SMOKE, Effort
from bench.environment import ROOT, prepared
from bench.peers import PEERS
from bench.results import Group, Result
from bench.verification import AdapterError, verify

_BENCH: Final = Path(__file__).parent

Measurement = Callable[[Effort, Sequence[Adapter], Path], Iterator[Group]]

MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "calls": lambda effort, adapters, _: calls.measured(effort, adapters),
    "threads": lambda effort, adapters, _: threads.measured(effort, adapters),
    "append": lambda effort, _, folder: appending.measured(effort, folder),
    "replay": lambda effort, _, folder: replaying.measured(effort, folder),
    "columns": lambda effort, _, folder: columns.measured(effort, folder),
    "importing": lambda effort, _, folder: importing.measured(effort, folder),
    "opening": lambda effort, _, folder: opening.measured(effort, folder),
    "memory": lambda effort, adapters, _: memory.measured(effort, adapters),
    "start": lambda effort, adapters, _: starting.measured(effort, adapters),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(given)
    if options.readme and (options.smoke or options.only or options.without):
        parser.error("--readme takes a whole run: no --smoke, --only or --without")
    try:
        if options.smoke or options.here is not None:
            return _measure(options)
        with contextlib.ExitStack() as stack:
            if options.venv is None:
                made = stack.enter_context(tempfile.TemporaryDirectory(prefix="recloser-bench-"))
                folder = Path(made)
            else:
                folder = options.venv
            _say(f"preparing {folder}")
            python, missing = prepared(folder.absolute(), _wanted(options))
            here = ["--here", json.dumps(missing)]
            done = subprocess.run([python, _BENCH, *given, *here], check=False)
            return done.returncode
    except (AdapterError, readme.NoMarkersError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="What recloser and its peers cost, in one interleaved run."
    )
    add = parser.add_argument
    add("--smoke", action="store_true", help="a few calls of everything that is installed here")
    add("--venv", type=Path, help="where the peers are installed, kept for the next time")
    names = [peer.name for peer in PEERS]
    add("--without", action="append", default=[], choices=names, help="leave a peer out")
    add("--only", action="append", choices=MEASUREMENTS, help="measure this alone")
    add("--rounds", type=int, help="how often each subject takes its turn")
    add("--opened", type=int, help="how many events the log has that is opened")
    add("--json", type=Path, metavar="FILE", help="write all figures and ratios")
    add("--markdown", type=Path, metavar="FILE", help="write the tables")
    add("--plot", type=Path, metavar="FILE", help="draw the figures, an HTML page")
    add("--readme", action="store_true", help="rewrite the table of the README")
    add("--here", metavar="MISSING", help=argparse.SUPPRESS)
    return parser


def _wanted(options: argparse.Namespace) -> list[Adapter]:
    return [peer for peer in PEERS if peer.name not in options.without]


def _measure(options: argparse.Namespace) -> int:
    """Measure what is installed in this environment."""
    missing: dict[str, str] = {} if options.here is None else json.loads(options.here)
    missing |= dict.fromkeys(options.without, "left out")
    adapters = [way for way in ours.WAYS if way.name != ours.RUNS or ours.has_runs()]
    if not ours.has_runs():
        missing[ours.RUNS] = "this recloser knows no detail but the full one"
    for peer in _wanted(options):
        if not peer.is_installed():
            missing.setdefault(peer.name, "it is not installed")
        else:
            adapters.append(peer)
    if options.plot is not None and find_spec("plotly") is None:
        _say("--plot needs plotly, which is not installed: pip install 'recloser[report]'")
        return 2
    paths = {
        name: path.absolute()
        for name in ("json", "markdown", "plot")
        if (path := getattr(options, name)) is not None
    }
    # An outrun log warns of what it lost; here it is counted.
    logging.getLogger("recloser").setLevel(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory(prefix="recloser-bench-") as folder,
        contextlib.chdir(folder),  # some peer writes files where it is
    ):
        result = Result(
            machine.described(),
            machine.versions(adapters),
            missing,
            tuple(_groups(options, adapters, Path(folder))),
        )
    table.show(result, Console(width=None if sys.stdout.isatty() else 200))
    _write(result, paths)
    if options.readme:
        readme.rewrite(ROOT / "README.md", result)
    return 0


def _groups(
    options: argparse.Namespace, adapters: Sequence[Adapter], folder: Path
) -> Iterator[Group]:
    effort = SMOKE if options.smoke else FULL
    if options.rounds is not None:
        effort = evolve(effort, rounds=options.rounds)
    if options.opened is not None:
        effort = evolve(effort, opened=options.opened)
    _say(f"trying {len(adapters)} breakers")
    verify(adapters)
    for name in options.only or MEASUREMENTS:
        _say(f"measuring {name}")
        for group in MEASUREMENTS[name](effort, adapters, folder):
            _say(f"  {group.title}")
            yield group


def _write(result: Result, paths: Mapping[str, Path]) -> None:
    if "json" in paths:
        text = json.dumps(result.as_data(), indent=2)
        paths["json"].write_text(f"{text}\n", encoding="utf-8")
    if "markdown" in paths:
        paths["markdown"].write_text(table.markdown(result), encoding="utf-8")
    if "plot" in paths:
        plot.write(result, paths["plot"])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
