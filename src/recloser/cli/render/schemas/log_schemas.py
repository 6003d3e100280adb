"""JSON objects of all other commands: import, export, verify, repair, report, watch and more."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from recloser.cli.render.schemas import JsonObject

if TYPE_CHECKING:
    from recloser.audit.cause import Cause
    from recloser.audit.live_view import Watch
    from recloser.importers.call_log import ImportSummary
    from recloser.importers.outcomes.outcome_classifier import OutcomeRow
    from recloser.importers.trace_import import TraceImport
    from recloser.log.salvage import Repair
    from recloser.log.verification import Verification


# recloser why, demo, report and watch


def demo_object(log: str, cause: "Cause") -> JsonObject:
    """``recloser.demo/1``: the log of the demonstration, and why its breaker opened."""
    return {"schema": "recloser.demo/1", "log": log, **cause.to_mapping()}


def report_object(page: str, *, breakers: int, trips: int, events: int) -> JsonObject:
    """``recloser.report/1``: the page that was written, and what is in it."""
    return {
        "schema": "recloser.report/1",
        "page": page,
        "breakers": breakers,
        "trips": trips,
        "events": events,
    }


def watch_object(watch: "Watch") -> JsonObject:
    """``recloser.watch/1``: the breakers of a log at this moment, and its last trips."""
    from recloser.audit.cause import as_data

    return {
        "schema": "recloser.watch/1",
        "events": watch.events,
        "breakers": [as_data(breaker) for breaker in watch.breakers()],
        "trips": [as_data(trip) for trip in watch.trips],
    }


# Logs: recloser verify, repair and export


def verification_object(result: "Verification") -> JsonObject:
    """``recloser.verify/1``: the damage of a log, and its head."""
    head = None if result.head is None else str(result.head)
    return {"schema": "recloser.verify/1", **attrs.asdict(result), "head": head}


def repair_object(repair: "Repair", written: str | None) -> JsonObject:
    """``recloser.repair/1``: what was kept and dropped of each segment.

    Args:
        repair: The repair.
        written: The path of the repaired log; None after a dry run.
    """
    return {
        "schema": "recloser.repair/1",
        "written": written,
        "segments": [
            {"segment": s.path.name, "kept": s.kept, "dropped": s.dropped, "lost": s.lost}
            for s in repair.segments
        ],
    }


def export_object(written: str, events: int, **figures: object) -> JsonObject:
    """``recloser.export/1``: the path that was written, and its figures.

    Args:
        written: The path.
        events: How many events were written.
        figures: ``bytes`` of a Parquet file; ``edges``, ``breakers``, ``last_seq`` and ``whole``
            of the log of a stream.
    """
    return {"schema": "recloser.export/1", "written": written, "events": events, **figures}


# recloser import


def import_object(
    summary: "ImportSummary | None", ready: "TraceImport", log: str, **more: object
) -> JsonObject:
    """``recloser.import/1``: how files were understood, and the figures of the log.

    Args:
        summary: The figures of the log; None after a dry run.
        ready: The import, which has read its input.
        log: The path of the log.
        more: ``command`` and ``calls_seen``, where the command looked at the files.
    """
    return {
        "schema": "recloser.import/1",
        "log": None if summary is None else log,
        **({} if summary is None else attrs.asdict(summary)),
        "format": ready.format.description.name,
        "unwrapped": ready.unwrapped,
        "outcomes": [_outcome_object(ready, row) for row in ready.classifier.table()],
        "cuts": ready.cuts,
        "joined": ready.joined,
        **more,
    }


def _outcome_object(ready: "TraceImport", row: "OutcomeRow") -> JsonObject:
    values = dict(zip(ready.classifier.fields, row.values, strict=False))
    return {"values": values, "taken_for": row.verdict.value, "calls": row.count}


# recloser docs and recloser machine


def docs_page_object(topic: str, text: str) -> JsonObject:
    """``recloser.docs/1`` for one page: its topic, and its text in Markdown."""
    return _docs_object(topic=topic, text=text)


def docs_topics_object(topics: Iterable[tuple[str, str]]) -> JsonObject:
    """``recloser.docs/1`` for the list of pages, given by topic and title."""
    return _docs_object(topics=[{"topic": topic, "title": title} for topic, title in topics])


def _docs_object(**content: object) -> JsonObject:
    return {"schema": "recloser.docs/1", **content}


def machine_object(edges: Sequence[Mapping[str, object]]) -> JsonObject:
    """``recloser.machine/1``: the edges of the state machine."""
    return {"schema": "recloser.machine/1", "edges": edges}
