"""JSON objects of commands that compare settings: whatif and tune."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from recloser.cli.render.schemas import JsonObject

if TYPE_CHECKING:
    from recloser.whatif.costs import Delay
    from recloser.whatif.evaluation import Evaluation
    from recloser.whatif.settings_search import Candidate, TuneResult


def whatif_object(
    *,
    calls: int,
    unknown: int,
    lost_events: int,
    is_recorded: bool,
    columns: Mapping[str, Mapping[str, "Evaluation"]],
) -> JsonObject:
    """``recloser.whatif/1``: the figures of every breaker under each set of settings.

    Args:
        calls: How many calls there are.
        unknown: How many of them have an unknown outcome.
        lost_events: How many events of the log could not be written.
        is_recorded: Whether breakers recorded the calls.
        columns: For each set of settings its name and, by breaker, what it results in.
    """
    from recloser.whatif.costs import Figures

    return {
        "schema": "recloser.whatif/1",
        "calls": calls,
        "unknown": unknown,
        "lost_events": lost_events,
        "recorded": is_recorded,
        "results": [
            {
                "settings": name,
                "total": attrs.asdict(Figures.total(v.figures for v in column.values())),
                "detection": _delays_object([d for v in column.values() for d in v.detection]),
                "recovery": _delays_object([d for v in column.values() for d in v.recovery]),
                "breakers": {
                    breaker: {
                        **attrs.asdict(verdict.figures),
                        "outages": len(verdict.outages),
                        "detection": _delays_object(verdict.detection),
                        "recovery": _delays_object(verdict.recovery),
                        "followed": verdict.is_complete,
                    }
                    for breaker, verdict in column.items()
                },
            }
            for name, column in columns.items()
        ],
    }


def _delays_object(delays: "Sequence[Delay]") -> JsonObject | None:
    from recloser.whatif.comparison import summarize_delays

    summary = summarize_delays(delays)
    if summary is None:
        return None
    return {
        "outages": len(delays),
        "ended": attrs.asdict(summary.ended),
        "median_ns": summary.median,
        "longest_ns": summary.longest,
    }


def tune_object(tuned: "TuneResult", toml: str) -> JsonObject:
    """``recloser.tune/1``: the recommended settings, and the Pareto front that they are chosen from.

    Args:
        tuned: The search.
        toml: The recommended settings as TOML.
    """
    tuning = tuned.tuning
    return {
        "schema": "recloser.tune/1",
        "calls": tuned.calls,
        "unknown": tuned.unknown,
        "chosen_by": {"calls": tuning.calls[0], "failures": tuning.failures[0]},
        "held_out": {"calls": tuning.calls[1], "failures": tuning.failures[1]},
        "tried": len(tuning.candidates),
        "base": _candidate_object(tuning.base),
        "recommended": _candidate_object(tuning.recommended),
        "toml": toml,
        "front": [_candidate_object(candidate) for candidate in tuning.front],
        "warnings": tuning.warnings,
    }


def _candidate_object(candidate: "Candidate") -> JsonObject:
    return {
        "settings": candidate.settings,
        "chosen_by": attrs.asdict(candidate.tuned_on),
        "held_out": attrs.asdict(candidate.held_out),
    }
