"""``recloser tune``: many settings on the same traffic, and which of them to take."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import attrs
import click

from recloser.cli.commands.whatif import traffic_in
from recloser.cli.engines import Engine, engine_options, pieces_progress
from recloser.cli.options import (
    Given,
    json_option,
    log_argument,
    settings_options,
    source_option,
)
from recloser.cli.render.pages import write_page
from recloser.cli.render.terminal import (
    counted,
    duration,
    note,
    print_json,
    print_table,
    printable,
    results,
    working_progress,
)
from recloser.core.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.log.verification import refuse_existing
from recloser.whatif.settings_search import (
    HELD_OUT_PERCENT,
    Candidate,
    TuneResult,
    Tuning,
    grid_of,
    tune,
)

DEFAULT_GRID: Final = (
    "failure_threshold=2,3,4,5,7,10,15,20",
    "recovery_timeout_seconds=1,2,5,10,20,30,60",
    "half_open_success_threshold=1,2,3",
)
MAX_SETTINGS: Final = 100_000

_FRONT_SHOWN: Final = 12


@click.command(short_help="Many settings, the Pareto front and a recommendation.")
@log_argument
@click.option(
    "--grid",
    "axes",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values to try, as failure_threshold=2..20, window.failure_rate=0.1..0.9..0.1 or "
    f"recovery_timeout_seconds=1,5,10; repeatable. By default {' '.join(DEFAULT_GRID)}",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1, max=MAX_SETTINGS),
    metavar="N",
    help="Try only so many of the grid's combinations, spread over it.",
)
@click.option(
    "--failure-weight",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="A failure let through is as bad as so many good calls lost.",
)
@settings_options
@source_option
@click.option("--breaker", metavar="NAME", help="One breaker only.")
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="FRONT.html",
    help="Plot every setting and the front, in one page that needs no network.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: Engine | None,
    axes: Sequence[str],
    budget: int | None,
    failure_weight: int,
    given: Given,
    breaker: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Try many settings on the calls in LOG and recommend one.

    Settings are chosen by the first part of the calls and tried on the last, which is held out.
    Calls of unknown outcome are left out; whatif tells what they may change.

    With --engine dask, LOG is many exported files; of each, the last calls are held out.
    """
    if out is not None:
        refuse_existing(out)
    base = given.read().to_mapping()
    grid = grid_of(dict(map(_axis, axes or DEFAULT_GRID)), budget)
    if len(grid) > MAX_SETTINGS:
        raise ConfigError(
            f"the grid has {len(grid):,} combinations, more than {MAX_SETTINGS:,}; "
            "try some of them with --budget"
        )
    if engine is None:
        tuned = _tuned_here(log, base, grid, breaker, failure_weight)
    else:
        tuned = _tuned_on(engine, log, base, grid, breaker=breaker, failure_weight=failure_weight)
    tuning = tuned.tuning
    if out is not None:
        from recloser.audit.tune_page import render_tune_page

        write_page(render_tune_page(tuning), out)
        note(f"the front is plotted in {out}")
    if as_json:
        print_json(_as_data(tuned))
    else:
        _print(tuning, failure_weight)


def _tuned_here(
    log: str,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    breaker: str | None,
    failure_weight: int,
) -> TuneResult:
    traffic = traffic_in(log, breaker)
    _note_unknown(traffic.unknown, traffic.total)
    with working_progress("settings", len(grid)) as on_done:
        tuning = tune(traffic, base, grid, failure_weight=failure_weight, on_done=on_done)
    return TuneResult(tuning, traffic.total, traffic.unknown)


def _tuned_on(
    engine: Engine,
    dataset: str,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    *,
    breaker: str | None,
    failure_weight: int,
) -> TuneResult:
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.dataset_tuning import tune_many

        with pieces_progress("scoring settings") as on_done:
            tuned = tune_many(
                sources,
                runner,
                base,
                grid,
                breaker=breaker,
                failure_weight=failure_weight,
                on_done=on_done,
            )
    _note_unknown(tuned.unknown, tuned.calls)
    return tuned


def _note_unknown(unknown: int, calls: int) -> None:
    if unknown:
        note(
            f"{counted(unknown, 'call')} of unknown outcome left out, of {calls:,}; "
            "see what they may change with recloser whatif"
        )


def _axis(text: str) -> tuple[str, Sequence[object]]:
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ConfigError(f"a grid is given as NAME=VALUES, not {text!r}")
    try:
        return name.strip(), [value for part in values.split(",") for value in _values(part)]
    except ConfigError:
        raise
    except (ArithmeticError, ValueError, RecursionError) as error:
        raise ConfigError(f"the values in {text!r} can't be read") from error


def _values(part: str) -> Iterator[object]:
    part = part.strip()
    if ".." not in part:
        if part.isidentifier() and part not in ("true", "false"):
            yield None if part.lower() in ("none", "off") else part
        else:
            yield tomllib.loads(f"value = {part}")["value"]
        return
    bounds = [Decimal(bound) for bound in part.split("..")]
    if len(bounds) not in (2, 3):
        raise ConfigError(f"a range is FIRST..LAST or FIRST..LAST..STEP, not {part!r}")
    first, last, step = (*bounds, Decimal(1))[:3]
    if step <= 0 or not all(bound.is_finite() for bound in bounds):
        raise ConfigError(f"a range goes up in steps above 0, unlike {part!r}")
    if (last - first) / step >= MAX_SETTINGS:
        raise ConfigError(f"the range {part!r} has more than {MAX_SETTINGS:,} values")
    while first <= last:
        yield int(first) if first == first.to_integral_value() else float(first)
        first += step


def _as_data(tuned: TuneResult) -> Mapping[str, object]:
    tuning = tuned.tuning
    return {
        "schema": "recloser.tune/1",
        "calls": tuned.calls,
        "unknown": tuned.unknown,
        "chosen_by": {"calls": tuning.calls[0], "failures": tuning.failures[0]},
        "held_out": {"calls": tuning.calls[1], "failures": tuning.failures[1]},
        "tried": len(tuning.candidates),
        "base": _candidate_data(tuning.base),
        "recommended": _candidate_data(tuning.recommended),
        "toml": as_toml(tuning.recommended),
        "front": [_candidate_data(candidate) for candidate in tuning.front],
        "warnings": tuning.warnings,
    }


def _candidate_data(candidate: Candidate) -> Mapping[str, object]:
    return {
        "settings": candidate.settings,
        "chosen_by": attrs.asdict(candidate.tuned_on),
        "held_out": attrs.asdict(candidate.held_out),
    }


def _print(tuning: Tuning, failure_weight: int) -> None:
    best = tuning.recommended
    out = results()
    out.print(f"take {printable(told(best.settings))}", style="bold")
    out.print()
    for reason in _reasons(tuning, failure_weight):
        out.print(f"- {reason}")
    for warning in tuning.warnings:
        out.print(f"- warning: {warning}")
    out.print()
    shown = _thinned(tuning.front, best)
    columns = ("trips", "lost", "let through", "lost, held out", "let through, held out")
    print_table(
        ("", "the front", *columns),
        (
            (
                "→" if candidate is best else "",
                told(candidate.settings) or "without the grid",
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
        f"on the first {100 - HELD_OUT_PERCENT} % of the calls, {tuning.calls[0]:,}, it refuses "
        f"{chosen.saved:,} of {counted(failures, 'failure')} and {counted(chosen.lost, 'good call')}; "
        f"{counted(chosen.trips, 'trip')}, {duration(chosen.open_ns)} not closed"
    )
    yield (
        f"of {counted(len(tuning.candidates), 'setting')}, none has a lower cost: lost calls and "
        f"{failure_weight} for each failure let through, {chosen.cost(failure_weight):,} in all"
    )
    index = tuning.front.index(best)
    if index + 1 < len(tuning.front):
        following = tuning.front[index + 1]
        yield (
            f"the next that lets fewer through, {printable(told(following.settings))}, would spare "
            f"{chosen.let_through - following.tuned_on.let_through:,} more failures and lose "
            f"{following.tuned_on.lost - chosen.lost:,} more good calls"
        )
    held = best.held_out
    yield (
        f"on the last {HELD_OUT_PERCENT} %, held out, it refuses {held.saved:,} of "
        f"{counted(tuning.failures[1], 'failure')} and {counted(held.lost, 'good call')}"
    )


def _thinned(front: Sequence[Candidate], kept: Candidate) -> Sequence[Candidate]:
    if len(front) <= _FRONT_SHOWN:
        return front
    last = len(front) - 1
    indexes = {last * n // (_FRONT_SHOWN - 1) for n in range(_FRONT_SHOWN)} | {front.index(kept)}
    return [front[index] for index in sorted(indexes)]


def told(settings: Mapping[str, object]) -> str:
    """Settings on one line."""
    return " ".join(f"{name}={_toml_value(value)}" for name, value in settings.items())


def as_toml(candidate: Candidate) -> str:
    """What of a configuration was chosen, or is not the default, as TOML."""
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
        import json

        return json.dumps(value)
    return str(value)
