"""``recloser golden``: golden files that hold the expected histories of traces."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from attrs import frozen

from recloser import cli
from recloser.cli.failures import failure_line
from recloser.cli.options import GivenSettings, examples, json_option, settings_options
from recloser.cli.render.differences import checked_lines, print_lines
from recloser.cli.render.schemas.history_schemas import (
    golden_check_object,
    golden_file_object,
    golden_update_object,
    refused_golden_object,
)
from recloser.cli.render.terminal import note, print_json, results
from recloser.core.formatting import quantity
from recloser.errors import RecloserError
from recloser.golden.golden_pairs import (
    GoldenCheck,
    GoldenPair,
    Verdict,
    check,
    find_pairs,
    refuse_in_ci,
    update,
)

_paths_argument = click.argument("paths", metavar="PATH...", nargs=-1, required=True)


@frozen
class _Refused:
    """A golden file that could not be compared or written, and the error."""

    golden: Path
    error: RecloserError | OSError


@click.group(
    short_help="Check or update the golden files of traces.",
    epilog=examples(
        "recloser golden update calls --set failure_threshold=5",
        "recloser golden check calls fixtures",
    ),
)
def command() -> None:
    """Keep the expected history of a trace in a file beside it, and notice when it changes.

    The golden file NAME.golden.json belongs to the trace NAME, a folder of segments, or to
    NAME.jsonl in the same folder. It holds the settings, every edge, the totals and the digest.
    """


@command.command("check", short_help="Compare golden files with the histories of their traces.")
@_paths_argument
@json_option
def _check(*, paths: Sequence[str], as_json: bool) -> int:
    """Compare golden files with the histories of their traces. Nothing is written.

    PATH is a trace, a golden file, or a folder of both. A trace without a golden file fails, and so
    does a golden file without a trace.

    Exit status: 1 a history differs, 2 a file is missing or can't be read.
    """
    found = _each(paths, check)
    if as_json:
        print_json(golden_check_object(map(_object, found)))
    else:
        _print(found)
        differing = sum(_is(one, Verdict.DIFFERENT) for one in found)
        same = sum(_is(one, Verdict.SAME) for one in found)
        refused = len(found) - differing - same
        results().print(
            f"{quantity(len(found), 'golden file')}: {same:,} the same, {differing:,} different"
            + (f", {refused:,} could not be checked" if refused else "")
        )
    return _status(found)


@command.command("update", short_help="Write golden files that are missing or differ.")
@_paths_argument
@settings_options
@json_option
def _update(*, paths: Sequence[str], given: GivenSettings, as_json: bool) -> int:
    """Write golden files that are missing or differ, and show what changed.

    PATH is a trace, a golden file, or a folder of both. Imported calls drive breakers with the
    settings given, else with those in the golden file. With CI=true in the environment, nothing is
    written and the command fails.
    """
    refuse_in_ci("recloser golden update")
    config = given.read() if given.is_any else None
    found = _each(paths, lambda pair: update(pair, config))
    if as_json:
        print_json(golden_update_object(map(_object, found)))
    else:
        _print(found)
        new, changed, same = (
            sum(_is(one, verdict) for one in found)
            for verdict in (Verdict.NEW, Verdict.CHANGED, Verdict.SAME)
        )
        results().print(
            f"{quantity(len(found), 'golden file')}: {new:,} new, {changed:,} changed, "
            f"{same:,} unchanged"
        )
    return _status(found)


def _each(
    paths: Sequence[str], work: Callable[[GoldenPair], GoldenCheck]
) -> Sequence[GoldenCheck | _Refused]:
    """Apply ``work`` to every golden file; an error with one does not stop the others."""
    found: list[GoldenCheck | _Refused] = []
    for pair in dict.fromkeys(pair for path in paths for pair in find_pairs(Path(path))):
        try:
            found.append(work(pair))
        except (RecloserError, OSError) as error:
            note(failure_line(error) if isinstance(error, OSError) else str(error))
            found.append(_Refused(pair.golden, error))
    return found


def _is(one: GoldenCheck | _Refused, verdict: Verdict) -> bool:
    return isinstance(one, GoldenCheck) and one.verdict is verdict


def _status(found: Sequence[GoldenCheck | _Refused]) -> int:
    refused = [cli.status_for(one.error) for one in found if isinstance(one, _Refused)]
    if refused:
        return max(refused)
    if any(_is(one, Verdict.DIFFERENT) for one in found):
        return cli.DIFFERENCE
    torn = any(isinstance(one, GoldenCheck) and one.history.tail.torn for one in found)
    return cli.TORN if torn else 0


def _print(found: Sequence[GoldenCheck | _Refused]) -> None:
    for one in found:
        if isinstance(one, GoldenCheck) and one.verdict is not Verdict.SAME:
            print_lines(checked_lines(one))


def _object(one: GoldenCheck | _Refused) -> Mapping[str, object]:
    if isinstance(one, _Refused):
        return refused_golden_object(one.golden, one.error)
    return golden_file_object(one)
