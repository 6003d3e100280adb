"""Render the report on a log as one HTML page that works without a network.

The page's Content-Security-Policy forbids all requests, and all scripts except the two in the page,
which it lists by their hashes. Data from the log is in a JSON block and is only ever shown as text.
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
from recloser.audit.report_figures import CAUSES_KEPT, BreakerLane, ReportFigures
from recloser.audit.segment_lookup import Segments
from recloser.audit.state_at import StateAt
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
    "Rates are the highest that the breaker's window reached in each time bucket. The breaker trips "
    "when a rate reaches its threshold, the dashed line."
)
_SHARES: Final = "Rates are shares of the calls that ended in each time bucket."
_COUNTED: Final = {
    "succeeded": bucket.SUCCEEDED,
    "failed": bucket.FAILED,
    "ignored": bucket.IGNORED,
    "rejected": bucket.REJECTED,
}


def plotting_library() -> str:
    """The JavaScript source of the plotting library.

    Raises:
        RecloserError: The library is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise RecloserError(
            "a report needs plotly, which is not installed: pip install 'recloser[report]'"
        ) from None
    return str(get_plotlyjs())


def report(path: Path, name: str) -> tuple[str, ReportFigures]:
    """Render the report on a log that breakers wrote.

    Args:
        path: A folder of segments, or one segment.
        name: The name of the log on the page.

    Returns:
        The HTML page, and the figures in it.

    Raises:
        RecloserError: The log can't be read, or the plotting library is not installed.
    """
    plotly = plotting_library()
    segments = Segments(path)
    last = fold_history(segments.read(len(segments.paths) - 1))
    begins = next(iter(segments.read(0))).at
    figures = ReportFigures(LogReader(path), begins, StateAt(last).at, len(last.snapshots))
    return page(figures, name, plotly), figures


def page(figures: ReportFigures, name: str, plotly: str) -> str:
    """Render the report page; ``plotly`` is the source of the plotting library."""
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
        # Without a "<", nothing in the data can end the script block that holds it.
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


def _data(figures: ReportFigures, name: str) -> Mapping[str, object]:
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
        "proof": "Every state change on this page is computed from the log's events. Run recloser replay "
        "to compare them with those recorded live.",
        "bounds": _unmarked_note(figures),
        "width": max(1, figures.width // _NS_PER_MS),
        "width_text": duration(figures.width).replace(".000", ""),
        "starts": [_ms(figures, figures.begins + n * figures.width) for n in range(count)],
        "breakers": [_lane(figures, lane, number) for number, lane in enumerate(lanes)],
        "together": _together(lanes),
        "trips": [_trip(figures, cause, index[cause.breaker]) for cause in figures.causes],
    }


def _ms(figures: ReportFigures, at: int) -> int:
    """The wall time at ``at``, in milliseconds since 1970."""
    return round(figures.timeline.utc(at).timestamp() * 1000)


def _figures(figures: ReportFigures, lanes: Sequence[BreakerLane]) -> list[tuple[str, str]]:
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


def _unmarked_note(figures: ReportFigures) -> str:
    if figures.trips <= CAUSES_KEPT:
        return ""
    return (
        f"Only the last {CAUSES_KEPT} of {figures.trips:,} trips are marked; recloser why explains any "
        "trip."
    )


def _lane(figures: ReportFigures, lane: BreakerLane, index: int) -> Mapping[str, object]:
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
                + (f", {band.edges} periods drawn as one" if band.edges > 1 else ""),
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


def _together(lanes: Iterable[BreakerLane]) -> Mapping[str, object]:
    sums: dict[int, list[int]] = {}
    for lane in lanes:
        for number, row in lane.buckets.items():
            into = sums.setdefault(number, [0] * len(row))
            for n in range(bucket.SLOW + 1):
                into[n] += row[n]
    return {"rates_are": _SHARES, **_series(sums, are_shares=True)}


def _trip(figures: ReportFigures, cause: Cause, index: int) -> Mapping[str, object]:
    left_out = len(cause.evidence) - _CALLS_SHOWN
    return {
        "breaker": index,
        "at": _ms(figures, cause.at_ns),
        "utc": cause.utc[:23],
        "headline": printable(cause.headline),
        "rule": cause.rule.rule.value,
        "lasted": duration(cause.cost.not_closed_ns)
        + ("" if cause.cost.closed_by else " (still open)"),
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
