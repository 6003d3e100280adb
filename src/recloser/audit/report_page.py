"""The report: one page with everything in it, that loads nothing and runs nothing but its own.

Its Content-Security-Policy forbids every request and every script but the three in it, each by its
hash. What comes from the log is data of a JSON block in it, and is shown as text.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from recloser.audit import report_figures as bucket
from recloser.audit.cause import Cause
from recloser.audit.phrasing import facts
from recloser.audit.report_figures import CAUSES_KEPT, Aggregates, Lane
from recloser.audit.segment_lookup import Segments
from recloser.audit.state_at import Moment
from recloser.core.config import CircuitBreakerConfig
from recloser.core.formatting import duration, printable, quantity
from recloser.core.validation import Rate, exact
from recloser.errors import RecloserError
from recloser.history.engine import fold_history
from recloser.log.reader import LogReader

_CALLS_SHOWN: Final = 20
_ONE: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_WINDOW_RATES: Final = (
    "Rates are the highest that the breaker's own window reached in each bucket of time; at a dashed "
    "threshold it trips."
)
_SHARES: Final = "Rates are the share of the calls that ended in each bucket of time."
_COUNTED: Final = {
    "succeeded": bucket.SUCCEEDED,
    "failed": bucket.FAILED,
    "ignored": bucket.IGNORED,
    "rejected": bucket.REJECTED,
}


def plotting_library() -> str:
    """The script of the plotting library.

    Raises:
        RecloserError: It is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise RecloserError(
            "a report needs plotly, which is not installed: pip install 'recloser[report]'"
        ) from None
    return str(get_plotlyjs())


def report(path: Path, name: str) -> tuple[str, Aggregates]:
    """The page about a log that breakers wrote, and the figures in it.

    Args:
        path: A folder of segments, or one segment.
        name: How the page names it.

    Raises:
        RecloserError: The log can't be read, or the plotting library is not there.
    """
    plotly = plotting_library()
    segments = Segments(path)
    last = fold_history(segments.excerpt(len(segments.paths) - 1))
    begins = next(iter(segments.excerpt(0))).at
    figures = Aggregates(LogReader(path), begins, Moment(last).at, len(last.snapshots))
    return page(figures, name, plotly), figures


def page(figures: Aggregates, name: str, plotly: str) -> str:
    """The page of these figures."""
    folder = resources.files("recloser.audit") / "page"
    template, style, script = (
        (folder / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src {_hashed(plotly)} {_hashed(script)}; style-src 'unsafe-inline'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(printable(name)),
        "style": style,
        # Nothing in it can end the block that it stands in.
        "data": msgspec.json.encode(_data(figures, name)).decode().replace("<", "\\u003c"),
        "plotly": plotly,
        "script": script,
    }
    for part, text in parts.items():
        before, _, after = template.partition(f"{{{part}}}")
        parts[part] = before + text
        template = after
    return "".join(parts.values()) + template


def _hashed(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data(figures: Aggregates, name: str) -> Mapping[str, object]:
    lanes = sorted(figures.lanes.values(), key=lambda lane: (-lane.trips, lane.breaker))
    index = {lane.breaker: number for number, lane in enumerate(lanes)}
    count = figures.bucket_of(figures.ends) + 1
    text = figures.timeline.text
    return {
        "log": printable(name),
        "period": [
            _ms(figures, figures.begins),
            max(_ms(figures, figures.ends), _ms(figures, figures.begins) + 1),
        ],
        "period_text": f"{text(figures.begins)[:19]} to {text(figures.ends)[:19]} UTC, "
        f"{duration(figures.ends - figures.begins)}",
        "figures": _figures(figures, lanes),
        "proof": "Every edge is computed anew from the log's events; recloser replay compares them with "
        "those that were witnessed.",
        "bounds": _bounds(figures),
        "width": max(1, figures.width // _NS_PER_MS),
        "width_text": duration(figures.width).replace(".000", ""),
        "starts": [_ms(figures, figures.begins + n * figures.width) for n in range(count)],
        "breakers": [_lane(figures, lane, number) for number, lane in enumerate(lanes)],
        "together": _together(lanes),
        "trips": [_trip(figures, cause, index[cause.breaker]) for cause in figures.causes],
    }


def _ms(figures: Aggregates, at: int) -> int:
    """Wall time at ``at``, in milliseconds since 1970."""
    return round(figures.timeline.utc(at).timestamp() * 1000)


def _figures(figures: Aggregates, lanes: Sequence[Lane]) -> list[tuple[str, str]]:
    open_now = sum(lane.state.value != "CLOSED" for lane in lanes)
    totals = [sum(row[n] for lane in lanes for row in lane.buckets.values()) for n in range(5)]
    return [
        ("breakers", f"{len(lanes):,}"),
        ("trips", f"{figures.trips:,}"),
        ("not closed at the end", f"{open_now:,}"),
        ("calls", f"{sum(totals[: bucket.REJECTED]):,}"),
        ("failed", f"{totals[bucket.FAILED]:,}"),
        ("rejected", f"{totals[bucket.REJECTED]:,}"),
        ("events", f"{figures.events:,}"),
    ]


def _bounds(figures: Aggregates) -> str:
    if figures.trips <= CAUSES_KEPT:
        return ""
    return f"Of {figures.trips:,} trips the last {CAUSES_KEPT} are marked; recloser why tells any."


def _lane(figures: Aggregates, lane: Lane, index: int) -> Mapping[str, object]:
    text = figures.timeline.text
    limits = _limits(lane.config)
    return {
        "index": index,
        "name": printable(lane.breaker),
        "trips": lane.trips,
        "bands": [
            (
                band.state.value,
                _ms(figures, band.start),
                _ms(figures, band.end),
                f"{band.state.value} for {duration(band.end - band.start)} from {text(band.start)}"
                + (f", {band.edges} such times" if band.edges > 1 else ""),
            )
            for band in lane.bands
        ],
        "limits": limits,
        "rates_are": _WINDOW_RATES if lane.config.window else _SHARES,
        **_series(lane.buckets, are_shares=lane.config.window is None),
    }


def _limits(config: CircuitBreakerConfig) -> Mapping[str, float | None]:
    window = config.window
    return {
        "failure_rate": _share(window.failure_rate) if window else None,
        "slow_rate": _share(window.slow_call_rate) if window else None,
        "run": 1.0 if config.failure_threshold is not None else None,
    }


def _share(rate: Rate | None) -> float | None:
    return None if rate is None else float(exact(rate))


def _series(buckets: Mapping[int, Sequence[int]], *, are_shares: bool) -> dict[str, object]:
    numbers = sorted(buckets)
    rows = [buckets[number] for number in numbers]
    failure_rate = [row[bucket.FAILURE_RATE] for row in rows]
    slow_rate = [row[bucket.SLOW_RATE] for row in rows]
    if are_shares:
        calls = [max(1, row[bucket.SUCCEEDED] + row[bucket.FAILED]) for row in rows]
        failure_rate = [_ONE * row[bucket.FAILED] // n for row, n in zip(rows, calls, strict=True)]
        slow_rate = [_ONE * row[bucket.SLOW] // n for row, n in zip(rows, calls, strict=True)]
    return {
        "buckets": numbers,
        **{name: [row[n] for row in rows] for name, n in _COUNTED.items()},
        "failure_rate": [rate / _ONE for rate in failure_rate],
        "slow_rate": [rate / _ONE for rate in slow_rate],
        "run": [row[bucket.RUN] / _ONE for row in rows],
    }


def _together(lanes: Iterable[Lane]) -> Mapping[str, object]:
    added: dict[int, list[int]] = {}
    for lane in lanes:
        for number, row in lane.buckets.items():
            into = added.setdefault(number, [0] * len(row))
            for n in range(bucket.SLOW + 1):
                into[n] += row[n]
    return {"rates_are": _SHARES, **_series(added, are_shares=True)}


def _trip(figures: Aggregates, cause: Cause, index: int) -> Mapping[str, object]:
    left_out = len(cause.evidence) - _CALLS_SHOWN
    return {
        "breaker": index,
        "at": _ms(figures, cause.at_ns),
        "utc": cause.utc[:23],
        "headline": printable(cause.headline),
        "rule": cause.rule.rule.value,
        "lasted": duration(cause.cost.not_closed_ns) + ("" if cause.cost.closed_by else " (still)"),
        "rejected": f"{cause.cost.rejected:,}",
        "facts": [(name, printable(fact)) for name, fact in facts(cause)],
        "evidence": [
            (
                str(call.seq),
                call.utc,
                duration(call.took_ns),
                call.outcome,
                printable(call.error or ""),
            )
            for call in cause.evidence[-_CALLS_SHOWN:]
        ],
        "more": f"{quantity(left_out, 'earlier call')} not shown." if left_out > 0 else "",
    }
