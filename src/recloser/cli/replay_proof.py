"""What ``recloser replay --prove`` and ``--sensitivity`` show."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from recloser import cli
from recloser.cli.options import Given, note_tail, settings_for
from recloser.cli.render.terminal import (
    counted,
    print_json,
    print_table,
    printable,
    progress_bar,
    results,
)
from recloser.history.edge_sequence import SequencedEdge
from recloser.log.reader import LogReader
from recloser.proof.perturbation import MovedEdge
from recloser.proof.proof import Proof, Row, prove
from recloser.proof.sensitivity import Sensitivity, SensitivityReport, sensitivity

T = TypeVar("T")

_SHOWN_DIGITS = 16


def show_proof(path: Path, given: Given, *, as_json: bool) -> int:
    """Prove the history of a log and print the rows; the exit status."""
    proof, torn = _found(prove, path, given)
    if as_json:
        print_json(_proof_data(proof))
    else:
        _print_proof(proof)
    return torn if proof.holds else cli.DIFFERENCE


def _found(find: Callable[..., T], path: Path, given: Given) -> tuple[T, int]:
    """Find something out about a log; the result, and the exit status by how the log ends."""
    config = settings_for(path, given)
    log = LogReader(path)
    with progress_bar() as progress:
        found = find(log, config=config, progress=progress)
    note_tail(path, log.tail)
    return found, cli.TORN if log.tail.torn else 0


def _print_proof(proof: Proof) -> None:
    print_table(
        ("history", "digest", ""),
        ((row.name, (row.digest or "")[:_SHOWN_DIGITS], _verdict(row)) for row in proof.rows),
        red={n for n, row in enumerate(proof.rows) if row.divergence is not None},
    )
    parted = [row for row in proof.rows if row.divergence is not None]
    for row in parted:
        results().print(printable(f"\n{row.name} parts at {row.divergence}"), style="red")
    taken = sum(row.left_out is None for row in proof.rows)
    verdict = f"{len(parted)} of {taken} ways differ" if parted else f"all {taken} ways are equal"
    results().print(
        f"\n{counted(proof.events, 'event')}, {counted(proof.edges, 'edge')}; {verdict}; "
        f"digest {proof.digest[:_SHOWN_DIGITS]}"
    )


def _verdict(row: Row) -> str:
    if row.left_out is not None:
        return f"left out: {row.left_out}"
    return "equal" if row.divergence is None else "DIFFERS"


def _proof_data(proof: Proof) -> Mapping[str, object]:
    return {
        "schema": "recloser.replay-prove/1",
        "events": proof.events,
        "edges": proof.edges,
        "digest": proof.digest,
        "holds": proof.holds,
        "rows": [
            {
                "name": row.name,
                "digest": row.digest,
                "equal": None if row.left_out is not None else row.divergence is None,
                "parting": None if row.divergence is None else attrs.asdict(row.divergence),
                "left_out": row.left_out,
            }
            for row in proof.rows
        ],
    }


def show_sensitivity(path: Path, given: Given, *, as_json: bool) -> int:
    """Print how wrong the monotonic clock may be; the exit status."""
    result, torn = _found(sensitivity, path, given)
    if as_json:
        print_json(_sensitivity_data(result))
    else:
        _print_sensitivity(result)
    return torn


def _print_sensitivity(result: SensitivityReport) -> None:
    print_table(
        ("error", "smallest that changes the history", "edge that it moves", "parts at"),
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
    return f"{size:,} ppm" if unit == "ppm" else f"{size // 1000:,}.{size % 1000:03} ms"


def _sensitivity_data(result: SensitivityReport) -> Mapping[str, object]:
    return {
        "schema": "recloser.replay-sensitivity/1",
        "events": result.baseline.events,
        "edges": len(result.baseline.edges),
        "digest": result.baseline.edges.digest,
        "sensitivities": [
            {
                "error": found.kind,
                "unit": found.unit,
                "smallest": found.smallest,
                "most": found.most,
                "host": found.detail if found.kind == "host offset" else None,
                "seed": int(found.detail) if found.kind == "jitter" and found.detail else None,
                "moved": None if found.moved is None else _moved_data(found.moved),
            }
            for found in result.found
        ],
    }


def _moved_data(moved: MovedEdge) -> Mapping[str, object]:
    return {"edge": _edge_data(moved.edge), "seq": moved.seq, "got": moved.got}


def _edge_data(edge: SequencedEdge) -> Mapping[str, object]:
    breaker, epoch, at, left, to, trigger = edge.fields
    return {
        "seq": edge.seq,
        "at_ns": int(at),
        "breaker": breaker,
        "epoch": int(epoch),
        "from": left,
        "to": to,
        "trigger": trigger,
    }
