"""The command line of the benchmark: prepares an environment, measures in it, and writes results."""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from attrs import asdict, evolve, frozen
from rich.console import Console

from bench import (
    appending,
    calls,
    columns,
    hostile,
    importing,
    machine,
    memory,
    opening,
    ours,
    plot,
    published,
    replaying,
    runs,
    starting,
    table,
    threads,
    tuning,
)
from bench.adapters import Adapter
from bench.effort import FULL, SMOKE, Effort
from bench.environment import ROOT, prepared
from bench.partner import PartnerError, Service, interpreted
from bench.peers import PEERS
from bench.results import Group, Result
from bench.verification import AdapterError, verify

_BENCH: Final = Path(__file__).parent
_PAGE: Final = ROOT / "src" / "recloser" / "docs" / "performance.md"
_QUIET: Final = 0.5
"""The highest load average of a machine that does nothing else; some of it is caused by pip."""


@frozen
class Measurement:
    """One kind of measurement.

    Attributes:
        groups: Makes the measurements, one after another.
        with_partner: Whether the interpreted build takes turns in it.
        needs: The module that must be installed for it.
    """

    groups: Callable[[Effort, Sequence[Adapter], Path], Iterator[Group]]
    with_partner: bool = False
    needs: str | None = None


MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "calls": Measurement(lambda effort, adapters, _: calls.measured(effort, adapters), True),
    "threads": Measurement(lambda effort, adapters, _: threads.measured(effort, adapters), True),
    "hostile": Measurement(lambda effort, adapters, _: hostile.measured(effort, adapters), True),
    "append": Measurement(lambda effort, _, folder: appending.measured(effort, folder), True),
    "replay": Measurement(lambda effort, _, folder: replaying.measured(effort, folder), True),
    "columns": Measurement(
        lambda effort, _, folder: columns.measured(effort, folder), True, "pyarrow"
    ),
    "importing": Measurement(lambda effort, _, folder: importing.measured(effort, folder), True),
    # The process of the interpreted build has ended by now, so it does not disturb these.
    "edges": Measurement(
        lambda effort, _, folder: columns.measured_edges(effort, folder), needs="pyarrow"
    ),
    "tune": Measurement(lambda effort, _, __: tuning.measured(effort), needs="numpy"),
    "opening": Measurement(lambda effort, _, folder: opening.measured(effort, folder)),
    "memory": Measurement(lambda effort, adapters, _: memory.measured(effort, adapters)),
    "start": Measurement(lambda effort, adapters, _: starting.measured(effort, adapters)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the results, and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(given)
    if options.publish:
        if options.smoke or options.only or options.without or options.rounds or options.opened:
            parser.error(
                "--publish takes whole runs: no --smoke, --only, --without, --rounds or --opened"
            )
        options.runs, options.interpreted = runs.PUBLISHED, True
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
    except (
        AdapterError,
        published.NoMarkersError,
        runs.DifferentRunsError,
        PartnerError,
        subprocess.CalledProcessError,
    ) as error:
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
    add(
        "--interpreted",
        action="store_true",
        help="measure recloser without its compiled modules too",
    )
    add("--runs", type=_number, default=1, help="whole runs, whose middle figures are given")
    add(
        "--publish",
        action="store_true",
        help=f"make {runs.PUBLISHED} runs of everything, and rewrite the table of the page on performance",
    )
    add("--raw", type=Path, help=argparse.SUPPRESS)
    add("--here", metavar="MISSING", help=argparse.SUPPRESS)
    return parser


def _wanted(options: argparse.Namespace) -> list[Adapter]:
    return [peer for peer in PEERS if peer.name not in options.without]


def _number(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _measure(options: argparse.Namespace) -> int:
    """Measure what is installed in this environment."""
    if options.plot is not None and find_spec("plotly") is None:
        _say("--plot needs plotly, which is not installed: pip install 'recloser[report]'")
        return 2
    paths = {
        name: path.absolute()
        for name in ("json", "markdown", "plot", "raw")
        if (path := getattr(options, name)) is not None
    }
    if options.publish:
        published.around_the_tables(_PAGE)  # fails now rather than after the runs, which take long
        if (load := os.getloadavg()[0]) > _QUIET:
            _say(f"the machine is not quiet: its load is {load:.2f}; the figures will show that")
    if options.runs > 1:
        result = runs.repeated(options.runs, _as_arguments(options))
    else:
        result = _one_run(options)
    if "raw" in paths:
        runs.save(result, paths["raw"])
    table.show(result, Console(width=None if sys.stdout.isatty() else 200))
    _write(result, paths)
    if options.publish:
        published.rewrite(_PAGE, result)
    return 0


def _as_arguments(options: argparse.Namespace) -> list[str]:
    """The arguments that have another process make one run with the same options."""
    arguments = ["--here", options.here or "{}"]
    arguments += [f"--{name}" for name in ("smoke", "interpreted") if getattr(options, name)]
    for name in ("rounds", "opened"):
        if (number := getattr(options, name)) is not None:
            arguments += [f"--{name}", str(number)]
    for name in ("without", "only"):
        arguments += [f"--{name}={one}" for one in getattr(options, name) or ()]
    return arguments


def _one_run(options: argparse.Namespace) -> Result:
    missing: dict[str, str] = {} if options.here is None else json.loads(options.here)
    missing |= dict.fromkeys(options.without, "left out")
    adapters = _our_ways()
    if len(adapters) < len(ours.WAYS):
        missing[ours.RUNS] = "this recloser knows no detail but the full one"
    for peer in _wanted(options):
        if not peer.is_installed():
            missing.setdefault(peer.name, "it is not installed")
        else:
            adapters.append(peer)
    _be_quiet()
    with (
        tempfile.TemporaryDirectory(prefix="recloser-bench-") as folder,
        contextlib.chdir(folder),  # some peer writes files where it is
    ):
        groups = tuple(_groups(options, adapters, missing, Path(folder)))
    return Result(machine.described(), machine.versions(adapters), missing, groups)


def _our_ways() -> list[Adapter]:
    return [way for way in ours.WAYS if way.name != ours.RUNS or ours.has_runs()]


def _be_quiet() -> None:
    """Silence the warnings of logs that lose events, which are counted here, and records of edges."""
    logging.getLogger("recloser").setLevel(logging.CRITICAL)


def _groups(
    options: argparse.Namespace,
    adapters: Sequence[Adapter],
    missing: dict[str, str],
    folder: Path,
) -> Iterator[Group]:
    effort = SMOKE if options.smoke else FULL
    if options.rounds is not None:
        effort = evolve(effort, rounds=options.rounds, hostile_rounds=options.rounds)
    if options.opened is not None:
        effort = evolve(effort, opened=options.opened)
    _say(f"trying {len(adapters)} breakers")
    verify(adapters)
    names = []
    for name in options.only or MEASUREMENTS:
        needs = MEASUREMENTS[name].needs
        if needs is None or find_spec(needs) is not None:
            names.append(name)
        else:
            missing[name] = f"{needs} is not installed: pip install 'recloser[parquet]'"
    names.sort(key=list(MEASUREMENTS).index)
    with contextlib.ExitStack() as stack:
        if options.interpreted:
            theirs = [name for name in names if MEASUREMENTS[name].with_partner]
            asked = json.dumps([asdict(effort.for_interpreted()), theirs])
            effort = evolve(effort, partner=stack.enter_context(interpreted(folder, [asked])))
        for name in names:
            _say(f"measuring {name}")
            for group in MEASUREMENTS[name].groups(effort, adapters, folder):
                _say(f"  {group.title}")
                yield group


def serve(arguments: Sequence[str]) -> None:
    """Run the interpreted build, which takes turns in the measurements of the first process."""
    effort, names = json.loads(arguments[0])
    service = Service(sys.stdin, sys.stdout)
    sys.stdout = sys.stderr  # the real one carries answers only
    _be_quiet()
    effort = evolve(Effort(**effort), partner=service)
    with tempfile.TemporaryDirectory(prefix="recloser-bench-") as folder:
        for name in names:
            for _ in MEASUREMENTS[name].groups(effort, _our_ways(), Path(folder)):
                pass


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
