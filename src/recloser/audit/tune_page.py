"""An HTML page that plots the result of ``recloser tune``; it needs no network."""

from recloser.errors import ConfigError
from recloser.whatif.settings_search import Candidate, Tuning


def render_tune_page(tuning: Tuning) -> str:
    """Render a page that plots lost calls against failures let through.

    Raises:
        ConfigError: The plotting library is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise ConfigError("a plot needs plotly: pip install 'recloser[report]'") from error
    figure = graph_objects.Figure()
    groups = (
        ("tried", tuning.candidates, {"mode": "markers", "marker": {"color": "#b0b7c3"}}),
        ("Pareto front", tuning.front, {"mode": "lines+markers", "line": {"shape": "hv"}}),
        (
            "current settings",
            [tuning.base],
            {"mode": "markers", "marker": {"symbol": "x", "size": 12}},
        ),
        (
            "recommended",
            [tuning.recommended],
            {"mode": "markers", "marker": {"symbol": "star", "size": 16}},
        ),
    )
    for name, candidates, style in groups:
        figure.add_trace(
            graph_objects.Scatter(
                name=name,
                x=[candidate.tuned_on.lost for candidate in candidates],
                y=[candidate.tuned_on.let_through for candidate in candidates],
                text=[_hover_text(candidate) for candidate in candidates],
                hovertemplate="%{text}<br>lost %{x}, let through %{y}<extra></extra>",
                **style,
            )
        )
    figure.update_layout(
        title=f"{len(tuning.candidates):,} settings on {tuning.calls[0]:,} calls",
        xaxis_title="good calls lost",
        yaxis_title="failures let through",
        template="simple_white",
    )
    page: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return page


def _hover_text(candidate: Candidate) -> str:
    settings = "<br>".join(f"{name} = {value}" for name, value in candidate.settings.items())
    held = candidate.held_out
    return (
        f"{settings or 'current settings'}<br>on the held-out calls: lost {held.lost:,}, "
        f"let through {held.let_through:,}"
    )
