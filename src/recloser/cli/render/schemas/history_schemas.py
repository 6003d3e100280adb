"""JSON objects of histories: replay, diff and golden."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import msgspec

from recloser.cli.render.history_tables import with_utc
from recloser.cli.render.schemas import JsonObject

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.many_logs import Histories
    from recloser.cluster.merging import Change, Merged
    from recloser.core.events import CircuitBreakerState, Edge, Event, FiredRule
    from recloser.core.snapshot import Totals
    from recloser.golden.golden_pairs import GoldenCheck
    from recloser.history.difference import Comparison
    from recloser.history.edge_sequence import SequencedEdge
    from recloser.history.history import History, Transition
    from recloser.history.timeline import Timeline
    from recloser.proof.perturbation import MovedEdge
    from recloser.proof.proof import Proof
    from recloser.proof.sensitivity import SensitivityReport


# Parts that several schemas share.


def edge_object(edge: "Edge", timeline: "Timeline") -> JsonObject:
    """An edge of a log, with its cause, dated by the timeline of the log."""
    return transition_object(edge, timeline, edge.seq, _cause_object(edge.cause))


def transition_object(
    edge: "Transition | Edge",
    timeline: "Timeline",
    seq: int | None = None,
    cause: Mapping[str, object] | None = None,
) -> JsonObject:
    """An edge whose ``seq`` and cause may be unknown, in the same form as ``edge_object``."""
    return {
        "seq": seq,
        "at_ns": edge.at,
        "utc": timeline.text(edge.at),
        "breaker": edge.breaker,
        "epoch": edge.epoch,
        "from": edge.from_state.value,
        "to": edge.to_state.value,
        "trigger": edge.trigger.value,
        "cause": cause,
    }


def _cause_object(cause: "FiredRule") -> JsonObject:
    return {
        "rule": cause.rule.value,
        "observed": cause.observed,
        "threshold": cause.threshold,
        "seqs": cause.seqs,
        "calls": cause.calls,
        "rate": cause.rate,
        "span": cause.span,
        "actor": cause.actor,
        "reason": cause.reason,
    }


def _step_object(step: "SequencedEdge") -> JsonObject:
    """An edge of a sequence, without its time in UTC and without its cause."""
    breaker, epoch, at, from_state, to_state, trigger = step.fields
    return {
        "seq": step.seq,
        "at_ns": int(at),
        "breaker": breaker,
        "epoch": int(epoch),
        "from": from_state,
        "to": to_state,
        "trigger": trigger,
    }


def _engine_object(name: str, reason: str | None) -> JsonObject:
    return {"name": name, "because": reason}


def comparison_object(comparison: "Comparison") -> JsonObject:
    """How two histories differ; part of the objects of diff, golden and ``replay --golden``."""
    event = comparison.event
    return {
        "equal": not comparison,
        "digests": comparison.digests,
        "event": None
        if event is None
        else {"old": _event_object(event.old), "new": _event_object(event.new)},
        "edges": [
            {
                "breaker": difference.breaker,
                "number": difference.number,
                "change": difference.change.value,
                "moved_ns": difference.moved_ns,
                "old": _event_object(difference.old),
                "new": _event_object(difference.new),
                "further": difference.further,
            }
            for difference in comparison.edges
        ],
        "settings": [attrs.asdict(setting) for setting in comparison.settings],
        "totals": [attrs.asdict(totals) for totals in comparison.totals],
    }


def _event_object(event: "Event | None") -> JsonObject | None:
    """An event in the form that it has in a log."""
    from recloser.log.codec import encode

    if event is None:
        return None
    data: JsonObject = msgspec.json.decode(encode(event))
    return data


# recloser replay


def replay_object(
    *,
    events: int,
    digest: str,
    edges: Sequence[Mapping[str, object]],
    breakers: Mapping[str, "tuple[CircuitBreakerState, Totals]"],
    engine: str,
    engine_reason: str | None = None,
    witnesses: int = 0,
    differences: Sequence[Mapping[str, object]] = (),
) -> JsonObject:
    """``recloser.replay/1``: the edges, states and totals of a history.

    Args:
        events: How many events were read.
        digest: The digest of the history.
        edges: The edges, as ``edge_object`` or ``transition_object`` makes them.
        breakers: The state of each breaker at the end and the totals of its calls, by its name.
        engine: What computed the history.
        engine_reason: Why the history was computed event by event, if it was.
        witnesses: How many witnesses were compared.
        differences: The witnesses that differ from the history.
    """
    return {
        "schema": "recloser.replay/1",
        "events": events,
        "breakers": len(breakers),
        "digest": digest,
        "edges": edges,
        "states": {name: state.value for name, (state, _) in breakers.items()},
        "totals": {name: attrs.asdict(totals) for name, (_, totals) in breakers.items()},
        "engine": _engine_object(engine, engine_reason),
        "witnesses": {"checked": witnesses, "differing": len(differences)},
        "differences": differences,
    }


def history_object(history: "History", comparison: "Comparison | None") -> JsonObject:
    """``recloser.replay/1`` for one history, with its comparison with a golden file if there is one."""
    replayed = replay_object(
        events=history.count,
        digest=history.digest,
        edges=[edge_object(edge, history.timeline) for edge in history.edges],
        breakers={name: (each.state, each.totals) for name, each in history.snapshots.items()},
        engine=history.engine,
        engine_reason=history.engine_reason,
        witnesses=history.witnesses,
        differences=[attrs.asdict(difference) for difference in history.differences],
    )
    return replayed if comparison is None else {**replayed, "golden": comparison_object(comparison)}


def histories_object(found: "Histories") -> JsonObject:
    """``recloser.replay/1`` for the histories of many logs, with the key ``logs``."""
    logs = list(zip(found.sources, found.histories, found.names, strict=True))
    replayed = replay_object(
        events=sum(history.count for history in found.histories),
        digest=found.digest,
        edges=[
            {"log": source.url, **edge_object(edge, history.timeline)}
            for source, history, _ in logs
            for edge in history.edges
        ],
        breakers={
            names[name]: (snapshot.state, snapshot.totals)
            for _, history, names in logs
            for name, snapshot in history.snapshots.items()
        },
        engine="dask",
        witnesses=sum(history.witnesses for history in found.histories),
        differences=[
            {"log": source.url, **attrs.asdict(difference)}
            for source, history, _ in logs
            for difference in history.differences
        ],
    )
    replayed["logs"] = [
        {
            "log": source.url,
            "host": source.host,
            "events": history.count,
            "digest": history.digest,
            "engine": _engine_object(history.engine, history.engine_reason),
        }
        for source, history, _ in logs
    ]
    return replayed


def merged_object(
    sources: "Sequence[Source]", merged: "Sequence[Merged]", timeline: "Timeline", digest: str
) -> JsonObject:
    """``recloser.replay/1`` for breakers that many hosts would share, with the key ``merged``."""
    replayed = replay_object(
        events=sum(source.about.events for source in sources),
        digest=digest,
        edges=[edge_object(edge, timeline) for each in merged for edge in each.edges],
        breakers={each.breaker: (each.snapshot.state, each.snapshot.totals) for each in merged},
        engine="dask",
    )
    replayed["merged"] = {
        each.breaker: {
            "hosts": [attrs.asdict(share) for share in each.hosts],
            "changes": [_change_object(change, timeline) for change in each.changes],
        }
        for each in merged
    }
    return replayed


def _change_object(change: "Change", timeline: "Timeline") -> JsonObject:
    _, epoch, at, from_state, to_state, trigger = change.moved.edge.fields
    return {
        "host": change.host,
        "ahead_ns": change.ahead_ns,
        "edge": {
            "epoch": int(epoch),
            "at_ns": int(at),
            "utc": timeline.text(int(at)),
            "from": from_state,
            "to": to_state,
            "trigger": trigger,
        },
        "got": with_utc(change.moved.got, timeline),
    }


def proof_object(proof: "Proof") -> JsonObject:
    """``recloser.replay-prove/1``: the digest of every variant, and where it differs."""
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


def sensitivity_object(result: "SensitivityReport") -> JsonObject:
    """``recloser.replay-sensitivity/1``: the smallest clock errors that change the history."""
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
                "moved": None if found.moved is None else _moved_object(found.moved),
            }
            for found in result.found
        ],
    }


def _moved_object(moved: "MovedEdge") -> JsonObject:
    return {"edge": _step_object(moved.edge), "seq": moved.seq, "got": moved.got}


# recloser diff and recloser golden


def diff_object(old: str, new: str, comparison: "Comparison") -> JsonObject:
    """``recloser.diff/1``: the names of two histories, and how they differ."""
    return {
        "schema": "recloser.diff/1",
        "old": old,
        "new": new,
        **comparison_object(comparison),
    }


def golden_file_object(checked: "GoldenCheck") -> JsonObject:
    """One golden file in the object of ``golden check`` or ``golden update``."""
    comparison = checked.comparison
    return {
        "golden": str(checked.golden),
        "verdict": checked.verdict.value,
        "digest": checked.history.digest,
        "witnesses_differing": len(checked.history.differences),
        "comparison": None if comparison is None else comparison_object(comparison),
    }


def refused_golden_object(golden: Path, error: Exception) -> JsonObject:
    """One golden file that could not be compared or written, and the error."""
    return {"golden": str(golden), "verdict": "refused", "error": str(error)}


def golden_check_object(files: Iterable[Mapping[str, object]]) -> JsonObject:
    """``recloser.golden-check/1``: what was found for each golden file."""
    return {"schema": "recloser.golden-check/1", "golden": list(files)}


def golden_update_object(files: Iterable[Mapping[str, object]]) -> JsonObject:
    """``recloser.golden-update/1``: what was done with each golden file."""
    return {"schema": "recloser.golden-update/1", "golden": list(files)}
