"""``recloser replay --prove`` and ``--sensitivity``: checks of how a history was computed."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recloser import cli
from recloser.cli.log_input import note_tail, settings_for
from recloser.cli.options import GivenSettings
from recloser.cli.render.schemas.history_schemas import proof_object, sensitivity_object
from recloser.cli.render.terminal import print_json, print_table, progress_bar, results
from recloser.core.formatting import printable, quantity
from recloser.log.reader import LogReader
from recloser.proof.proof import Proof, Row, prove
from recloser.proof.sensitivity import Sensitivity, SensitivityReport, sensitivity

T = TypeVar("T")

_DIGEST_CHARS = 16


def show_proof(path: Path, given: GivenSettings, *, as_json: bool) -> int:
    """Compute the history of a log in all variants, and print whether they agree.

    Returns:
        The exit status.
    """
    proof, tail_status = _run(prove, path, given)
    if as_json:
        print_json(proof_object(proof))
    else:
        _print_proof(proof)
    return tail_status if proof.holds else cli.DIFFERENCE


def _run(check: Callable[..., T], path: Path, given: GivenSettings) -> tuple[T, int]:
    """Run a check of a log; returns its result, and the exit status for the end of the log."""
    config = settings_for(path, given)
    log = LogReader(path)
    with progress_bar() as progress:
        result = check(log, config=config, progress=progress)
    note_tail(path, log.tail)
    return result, cli.TORN if log.tail.torn else 0


def _print_proof(proof: Proof) -> None:
    print_table(
        ("variant", "digest", ""),
        ((row.name, (row.digest or "")[:_DIGEST_CHARS], _verdict(row)) for row in proof.rows),
        red={index for index, row in enumerate(proof.rows) if row.divergence is not None},
    )
    differing = [row for row in proof.rows if row.divergence is not None]
    for row in differing:
        results().print(printable(f"\n{row.name} differs at {row.divergence}"), style="red")
    run = sum(row.left_out is None for row in proof.rows)
    verdict = (
        f"{len(differing)} of {run} variants differ"
        if differing
        else f"all {run} variants are equal"
    )
    results().print(
        f"\n{quantity(proof.events, 'event')}, {quantity(proof.edges, 'edge')}; {verdict}; "
        f"digest {proof.digest[:_DIGEST_CHARS]}"
    )


def _verdict(row: Row) -> str:
    if row.left_out is not None:
        return f"left out: {row.left_out}"
    return "equal" if row.divergence is None else "DIFFERS"


def show_sensitivity(path: Path, given: GivenSettings, *, as_json: bool) -> int:
    """Print how wrong the monotonic clock may be before the history changes.

    Returns:
        The exit status.
    """
    result, tail_status = _run(sensitivity, path, given)
    if as_json:
        print_json(sensitivity_object(result))
    else:
        _print_sensitivity(result)
    return tail_status


def _print_sensitivity(result: SensitivityReport) -> None:
    print_table(
        ("error", "smallest that changes the history", "edge that moves", "first difference"),
        (
            (
                found.kind + (f" of {found.detail}" if found.kind == "host offset" else ""),
                _smallest(found),
                "" if found.moved is None else str(found.moved.edge),
                "" if found.moved is None else f"seq {found.moved.seq}: {found.moved.got}",
            )
            for found in result.found
        ),
    )


def _smallest(found: Sensitivity) -> str:
    if found.smallest is None:
        return f"none up to {_size(found.most, found.unit)}"
    sign = "" if found.kind == "jitter" else "-" if found.smallest < 0 else "+"
    return sign + _size(abs(found.smallest), found.unit)


def _size(size: int, unit: str) -> str:
    """A size in parts per million, or in microseconds, shown in milliseconds."""
    return f"{size:,} ppm" if unit == "ppm" else f"{size // 1000:,}.{size % 1000:03} ms"
