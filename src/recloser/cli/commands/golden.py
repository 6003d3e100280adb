"""``recloser golden``: golden files beside traces."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from attrs import frozen

from recloser import cli
from recloser.cli.failures import failure_line
from recloser.cli.options import Given, json_option, settings_options
from recloser.cli.render.differences import checked_lines, comparison_data, print_lines
from recloser.cli.render.terminal import counted, note, print_json, results
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
    """A golden file of which nothing can be said, and why."""

    golden: Path
    error: RecloserError | OSError


@click.group(short_help="Check or update golden files beside traces.")
def command() -> None:
    """Keep the history of a trace beside it, and find out when it changes.

    PATH is a trace, a golden file, or a folder with several of them. NAME.golden.json stands beside
    the trace NAME, a folder of segments, or NAME.jsonl.
    """


@command.command("check")
@_paths_argument
@json_option
def _check(*, paths: Sequence[str], as_json: bool) -> int:
    """Compare golden files with the histories of their traces; write nothing.

    A trace without a golden file fails, and so does a golden file without a trace.
    """
    found = _each(paths, check)
    if as_json:
        print_json(
            {"schema": "recloser.golden-check/1", "golden": [_as_data(one) for one in found]}
        )
    else:
        _print(found)
        differing = sum(_is(one, Verdict.DIFFERENT) for one in found)
        same = sum(_is(one, Verdict.SAME) for one in found)
        refused = len(found) - differing - same
        results().print(
            f"{counted(len(found), 'golden file')}: {same:,} the same, {differing:,} different"
            + (f", {refused:,} could not be checked" if refused else "")
        )
    return _status(found)


@command.command("update")
@_paths_argument
@settings_options
@json_option
def _update(*, paths: Sequence[str], given: Given, as_json: bool) -> int:
    """Write golden files that are not there or differ, and say what changed.

    Imported traffic is driven with the settings given, else with those in the golden file. Where
    the environment says CI=true nothing is written.
    """
    refuse_in_ci("recloser golden update")
    config = given.read() if given.is_any else None
    found = _each(paths, lambda pair: update(pair, config))
    if as_json:
        print_json(
            {"schema": "recloser.golden-update/1", "golden": [_as_data(one) for one in found]}
        )
    else:
        _print(found)
        new, changed, same = (
            sum(_is(one, verdict) for one in found)
            for verdict in (Verdict.NEW, Verdict.CHANGED, Verdict.SAME)
        )
        results().print(
            f"{counted(len(found), 'golden file')}: {new:,} new, {changed:,} changed, "
            f"{same:,} left as they are"
        )
    return _status(found)


def _each(
    paths: Sequence[str], work: Callable[[GoldenPair], GoldenCheck]
) -> Sequence[GoldenCheck | _Refused]:
    """Do the work for each golden file; one that is refused keeps no other from it."""
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


def _as_data(one: GoldenCheck | _Refused) -> Mapping[str, object]:
    if isinstance(one, _Refused):
        return {"golden": str(one.golden), "verdict": "refused", "error": str(one.error)}
    comparison = None if one.comparison is None else comparison_data(one.comparison)
    return {
        "golden": str(one.golden),
        "verdict": one.verdict.value,
        "digest": one.history.digest,
        "witnesses_differing": len(one.history.differences),
        "comparison": comparison,
    }
