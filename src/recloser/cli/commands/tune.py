"""``recloser tune``: tries many settings on the same calls, and recommends one."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import click

from recloser.cli.dask_engine import DaskEngine, jobs_progress
from recloser.cli.log_input import calls_in
from recloser.cli.options import (
    GivenSettings,
    config_from_option,
    engine_options,
    examples,
    json_option,
    log_argument,
    one_breaker_option,
    settings_options,
)
from recloser.cli.render.pages import write_page
from recloser.cli.render.schemas.settings_schemas import tune_object
from recloser.cli.render.terminal import counting_progress, note, print_json
from recloser.cli.render.tune_text import as_toml, print_tuning
from recloser.core.formatting import quantity
from recloser.errors import ConfigError
from recloser.log.verification import refuse_existing
from recloser.whatif.settings_search import TuneResult, grid_of, tune

DEFAULT_GRID: Final = (
    "failure_threshold=2,3,4,5,7,10,15,20",
    "recovery_timeout_seconds=1,2,5,10,20,30,60",
    "half_open_success_threshold=1,2,3",
)
MAX_SETTINGS: Final = 100_000
_BOUNDS: Final = (2, 3)  # FIRST..LAST and FIRST..LAST..STEP


@click.command(
    short_help="Try many settings on the calls of a log, and recommend one.",
    epilog=examples(
        "recloser tune calls",
        "recloser tune calls --grid failure_threshold=2..10 --failure-weight 5",
        "recloser tune calls --grid window.size=50 --grid window.failure_rate=0.1..0.9..0.1",
    ),
)
@log_argument
@click.option(
    "--grid",
    "axes",
    multiple=True,
    metavar="NAME=VALUES",
    help="The values to try for one setting: a list as 1,5,10, a range as 2..20, or a range with a "
    "step as 0.1..0.9..0.1. Repeat it for further settings; all combinations are tried. By default: "
    f"{' '.join(DEFAULT_GRID)}.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1, max=MAX_SETTINGS),
    metavar="N",
    help="Try only N of the combinations, spread evenly over the grid; by default, all.",
)
@click.option(
    "--failure-weight",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many rejected good calls are as bad as one failure that is let through.",
)
@settings_options
@config_from_option
@one_breaker_option
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="FRONT.html",
    help="Write a page with a plot of all settings and the front to this file, which must not exist. "
    "Needs pip install 'recloser[report]'.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: DaskEngine | None,
    axes: Sequence[str],
    budget: int | None,
    failure_weight: int,
    given: GivenSettings,
    breaker: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Try many settings on the calls in LOG, and recommend one.

    A setting is good if it rejects calls that would have failed, and bad if it rejects calls that
    would have succeeded. The front holds every setting that no other beats in both. The settings are
    chosen by the first 70 % of the calls, then tried on the rest, which is held out.

    LOG holds imported calls, or was written by breakers. Calls with an unknown outcome are left out;
    use recloser whatif to see what they may change. --config, --set and --config-from give the
    settings that are not in the grid.

    With --engine dask, LOG is many exported logs; the last calls of each are held out.
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
        note(f"plot written to {out}")
    if as_json:
        print_json(tune_object(tuned, as_toml(tuning.recommended)))
    else:
        print_tuning(tuning, failure_weight)


def _tuned_here(
    log: str,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    breaker: str | None,
    failure_weight: int,
) -> TuneResult:
    traffic = calls_in(log, breaker)
    _note_unknown(traffic.unknown, traffic.total)
    with counting_progress("settings", len(grid)) as on_done:
        tuning = tune(traffic, base, grid, failure_weight=failure_weight, on_done=on_done)
    return TuneResult(tuning, traffic.total, traffic.unknown)


def _tuned_on(
    engine: DaskEngine,
    dataset: str,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    *,
    breaker: str | None,
    failure_weight: int,
) -> TuneResult:
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.dataset_tuning import tune_many

        with jobs_progress("scoring settings") as on_done:
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
            f"{quantity(unknown, 'call')} of {calls:,} left out because the outcome is unknown; "
            "recloser whatif shows what they may change"
        )


def _axis(text: str) -> tuple[str, Sequence[object]]:
    """Read one ``NAME=VALUES`` of ``--grid``."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ConfigError(
            f"--grid must be NAME=VALUES, such as failure_threshold=2..10, not {text!r}"
        )
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
    if len(bounds) not in _BOUNDS:
        raise ConfigError(f"a range is FIRST..LAST or FIRST..LAST..STEP, not {part!r}")
    first, last, step = (*bounds, Decimal(1))[:3]
    if step <= 0 or not all(bound.is_finite() for bound in bounds):
        raise ConfigError(f"a range goes up in steps above 0, unlike {part!r}")
    if (last - first) / step >= MAX_SETTINGS:
        raise ConfigError(f"the range {part!r} has more than {MAX_SETTINGS:,} values")
    while first <= last:
        yield int(first) if first == first.to_integral_value() else float(first)
        first += step
