"""``recloser whatif``: what other settings would have done with the same calls."""

from collections.abc import Callable, Mapping
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
from recloser.cli.render.schemas.settings_schemas import whatif_object
from recloser.cli.render.terminal import print_json
from recloser.cli.render.whatif_tables import CallCounts, Column, print_columns
from recloser.core.config import CircuitBreakerConfig
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.comparison import what_happened
from recloser.whatif.costs import OUTAGE_FAILURES
from recloser.whatif.evaluation import what_if

_TRIED: Final = "these settings"


@click.command(
    short_help="Show what other settings would have done with the calls of a log.",
    epilog=examples(
        "recloser whatif logs/payments --set failure_threshold=3",
        "recloser whatif calls --config new.toml --against old.toml",
        "recloser whatif calls --config-from application.yml#payments",
    ),
)
@log_argument
@settings_options
@config_from_option
@click.option(
    "--against",
    "against_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML or JSON file of further settings, which get a column of their own.",
)
@one_breaker_option
@click.option(
    "--outage",
    "failures",
    type=click.IntRange(min=1),
    default=OUTAGE_FAILURES,
    show_default=True,
    metavar="N",
    help="How many consecutive failures count as an outage. The delays until a breaker notices an "
    "outage, and its end, are measured from it.",
)
@engine_options
@json_option
def command(
    *,
    log: str,
    engine: DaskEngine | None,
    given: GivenSettings,
    against_path: Path | None,
    breaker: str | None,
    failures: int,
    as_json: bool,
) -> None:
    """Show what other settings would have done with the calls in LOG, beside what happened.

    LOG holds imported calls, or was written by breakers. In the second case, --set changes the
    settings of the log itself. The outcome of a call that the recorded breaker rejected is unknown;
    a figure that depends on it is shown as a range that is right whichever way the call had ended.

    With --engine dask, LOG is many exported logs, and the figures are totals over all of them.
    """
    against = (
        {} if against_path is None else {str(against_path): GivenSettings(against_path).read()}
    )
    if engine is None:
        counts, columns = _tried_here(log, given, against, breaker, failures)
    else:
        counts, columns = _tried_on(engine, log, given, against, breaker=breaker, failures=failures)
    if as_json:
        print_json(
            whatif_object(
                calls=counts.total,
                unknown=counts.unknown,
                lost_events=counts.lost_events,
                is_recorded=counts.is_recorded,
                columns=columns,
            )
        )
    else:
        print_columns(counts, columns, _TRIED)


def _tried_here(
    log: str,
    given: GivenSettings,
    against: Mapping[str, CircuitBreakerConfig],
    breaker: str | None,
    failures: int,
) -> tuple[CallCounts, Mapping[str, Column]]:
    traffic = calls_in(log, breaker)
    counts = CallCounts.of(traffic)
    columns: dict[str, Column] = {
        counts.heading: what_happened(traffic, failures),
        _TRIED: what_if(traffic, _config_for(traffic, given), failures),
    }
    for name, config in against.items():
        columns[name] = what_if(traffic, {}.fromkeys(traffic.calls, config).__getitem__, failures)
    return counts, columns


def _tried_on(
    engine: DaskEngine,
    dataset: str,
    given: GivenSettings,
    against: Mapping[str, CircuitBreakerConfig],
    *,
    breaker: str | None,
    failures: int,
) -> tuple[CallCounts, Mapping[str, Column]]:
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.evaluate import evaluate_many

        is_complete = given.has_file or sources[0].about.traffic
        settings = given.read() if is_complete else tuple(given.assignments)
        with jobs_progress("trying settings") as on_done:
            found = evaluate_many(
                sources,
                runner,
                [settings, *against.values()],
                breaker=breaker,
                failures=failures,
                on_done=on_done,
            )
    tried = found.breakers
    calls = {name: (each.calls, each.unknown) for name, each in tried.items()}
    counts = CallCounts(calls, found.recorded, found.lost)
    columns = {
        heading: {name: each.columns[index] for name, each in tried.items()}
        for index, heading in enumerate((counts.heading, _TRIED, *against))
    }
    return counts, columns


def _config_for(
    traffic: Traffic,
    given: GivenSettings,
) -> Callable[[str], CircuitBreakerConfig]:
    """The settings to try for each breaker, by its name."""
    if given.has_file or not traffic.recorded:
        config = given.read()
        return lambda _name: config
    configs = {name: given.read(traffic.configs[name].to_mapping()) for name in traffic.calls}
    return configs.__getitem__
