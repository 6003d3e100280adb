"""The measurements as points on logarithmic scales, in one page that loads nothing.

They are not bars, because a logarithmic scale has no zero at which bars could begin.
"""

from pathlib import Path
from typing import Final

from bench.results import Group, Result
from bench.table import head

_ROW_PX: Final = 26
_HEAD_PX: Final = 90
_OURS: Final = "#c2410c"
_OTHERS: Final = "#64748b"


def write(result: Result, path: Path) -> None:
    """Write the page.

    Raises:
        ImportError: ``plotly`` is not installed.
    """
    from plotly.graph_objects import Figure, Scatter
    from plotly.subplots import make_subplots

    groups = result.groups
    heights = [len(group.series) * _ROW_PX + _HEAD_PX for group in groups]
    total = sum(heights)
    figure: Figure = make_subplots(
        rows=len(groups),
        cols=1,
        subplot_titles=[f"{group.title}, {group.unit}" for group in groups],
        row_heights=[height / total for height in heights],
        vertical_spacing=min(60 / total, 1 / max(1, len(groups))),
    )
    for row, group in enumerate(groups, 1):
        figure.add_trace(Scatter(**_points(group)), row=row, col=1)
        figure.update_yaxes(autorange="reversed", row=row, col=1)
        figure.update_xaxes(type="log", row=row, col=1)
    figure.update_layout(
        height=total,
        showlegend=False,
        template="plotly_white",
        margin={"l": 260},
        title={"text": "<br>".join(head(result)[:1])},
    )
    figure.write_html(path, include_plotlyjs=True)


def _points(group: Group) -> dict[str, object]:
    ours = [series.name.startswith("recloser") for series in group.series]
    return {
        "mode": "markers",
        "x": [series.median for series in group.series],
        "y": [series.name for series in group.series],
        "error_x": {
            "array": [series.spread[1] - series.median for series in group.series],
            "arrayminus": [series.median - series.spread[0] for series in group.series],
        },
        "marker": {"color": [_OURS if mine else _OTHERS for mine in ours], "size": 10},
    }
