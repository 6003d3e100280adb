"""The result of ``recloser tune`` as text and as TOML."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from recloser.cli.render.terminal import print_table, results
from recloser.core.config import CircuitBreakerConfig
from recloser.core.formatting import duration, printable, quantity
from recloser.whatif.settings_search import HELD_OUT_PERCENT, Candidate, Tuning

_FRONT_SHOWN: Final = 12


def print_tuning(tuning: Tuning, failure_weight: int) -> None:
    """Print the recommendation, the reasons for it, the front, and TOML to paste.

    Args:
        tuning: The search.
        failure_weight: How many rejected good calls are as bad as one failure that is let through.
    """
    best = tuning.recommended
    out = results()
    out.print(f"recommended: {printable(one_line(best.settings))}", style="bold")
    out.print()
    for reason in _reasons(tuning, failure_weight):
        out.print(f"- {reason}")
    for warning in tuning.warnings:
        out.print(f"- warning: {warning}")
    out.print()
    shown = _thinned(tuning.front, best)
    columns = ("trips", "lost", "let through", "lost, held out", "let through, held out")
    print_table(
        ("", "settings on the front", *columns),
        (
            (
                "→" if candidate is best else "",
                one_line(candidate.settings) or "current settings",
                f"{candidate.tuned_on.trips:,}",
                f"{candidate.tuned_on.lost:,}",
                f"{candidate.tuned_on.let_through:,}",
                f"{candidate.held_out.lost:,}",
                f"{candidate.held_out.let_through:,}",
            )
            for candidate in (*shown, tuning.base)
        ),
        right=columns,
    )
    if len(shown) < len(tuning.front):
        out.print(f"… and {len(tuning.front) - len(shown):,} more between them; --json has all")
    out.print()
    out.print("# to paste into a file for --config, or CircuitBreakerConfig.from_mapping()")
    out.print(as_toml(best))


def _reasons(tuning: Tuning, failure_weight: int) -> Iterator[str]:
    best, chosen = tuning.recommended, tuning.recommended.tuned_on
    failures = tuning.failures[0]
    yield (
        f"on the first {100 - HELD_OUT_PERCENT} % of the calls ({tuning.calls[0]:,}) it rejects "
        f"{chosen.saved:,} of {quantity(failures, 'failure')} and "
        f"{quantity(chosen.lost, 'good call')}; "
        f"{quantity(chosen.trips, 'trip')}, {duration(chosen.open_ns)} not closed"
    )
    weight = "" if failure_weight == 1 else f"{failure_weight:,} x "
    yield (
        f"lowest cost of {quantity(len(tuning.candidates), 'setting')}: "
        f"{chosen.cost(failure_weight):,} = {quantity(chosen.lost, 'good call')} rejected + "
        f"{weight}{quantity(chosen.let_through, 'failure')} let through"
    )
    index = tuning.front.index(best)
    if index + 1 < len(tuning.front):
        following = tuning.front[index + 1]
        yield (
            f"the next stricter settings on the front, {printable(one_line(following.settings))}, "
            f"would let {quantity(chosen.let_through - following.tuned_on.let_through, 'fewer failure')} "
            f"through and reject {quantity(following.tuned_on.lost - chosen.lost, 'more good call')}"
        )
    held = best.held_out
    yield (
        f"on the last {HELD_OUT_PERCENT} %, which are held out, it rejects {held.saved:,} of "
        f"{quantity(tuning.failures[1], 'failure')} and {quantity(held.lost, 'good call')}"
    )


def _thinned(front: Sequence[Candidate], kept: Candidate) -> Sequence[Candidate]:
    """Choose candidates spread evenly over the front, among them ``kept``."""
    if len(front) <= _FRONT_SHOWN:
        return front
    last = len(front) - 1
    indexes = {last * n // (_FRONT_SHOWN - 1) for n in range(_FRONT_SHOWN)} | {front.index(kept)}
    return [front[index] for index in sorted(indexes)]


def one_line(settings: Mapping[str, object]) -> str:
    """Format settings on one line, as ``name=value`` pairs."""
    return " ".join(f"{name}={_toml_value(value)}" for name, value in settings.items())


def as_toml(candidate: Candidate) -> str:
    """Format the settings of a candidate as TOML, without those that are not chosen and default."""
    defaults = CircuitBreakerConfig().to_mapping()
    chosen = {name.partition(".")[0] for name in candidate.settings}
    return "\n".join(
        f"{name} = {_toml_value(value)}"
        for name, value in candidate.config.to_mapping().items()
        if name in chosen or value != defaults.get(name)
    )


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{name} = {_toml_value(inner)}" for name, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    return str(value)
