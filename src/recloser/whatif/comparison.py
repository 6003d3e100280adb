"""Evaluate what recorded breakers did, to compare other settings with it."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from recloser.core.state_machine import CLOSED
from recloser.simulate.call_table import FAILED, UNKNOWN, Calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.costs import (
    OUTAGE_FAILURES,
    Costs,
    Delay,
    Delays,
    Figures,
    Outage,
    Range,
    outages_of,
)
from recloser.whatif.evaluation import Evaluation, of_ended_outages


@frozen
class DelaySummary:
    """The delays of several outages; None stands for a delay that did not end.

    Attributes:
        median: The lowest and the highest possible median, in nanoseconds.
        longest: The lowest and the highest possible maximum, in nanoseconds.
        ended: For how many outages the delay ended.
    """

    median: tuple[int | None, int | None]
    longest: tuple[int | None, int | None]
    ended: Range


def what_happened(traffic: Traffic, failures: int = OUTAGE_FAILURES) -> Mapping[str, Evaluation]:
    """Evaluate what the recorded breakers did.

    In imported traffic there were no breakers, so no call was rejected.

    Args:
        traffic: The calls, with the edges that the recorded breakers took.
        failures: How many consecutive failures make an outage.

    Returns:
        The evaluation of each breaker, by name.
    """
    return {
        name: _evaluate_record(traffic, calls, outages_of(calls, failures))
        for name, calls in traffic.calls.items()
    }


def _evaluate_record(traffic: Traffic, calls: Calls, outages: Sequence[Outage]) -> Evaluation:
    delays = Delays(outages)
    costs = Costs(calls, delays)
    is_closed = True
    for edge in traffic.edges:
        if edge.breaker != calls.breaker:
            continue
        if is_closed and edge.to_state is not CLOSED:
            costs.open(edge.at)
        elif not is_closed and edge.to_state is CLOSED:
            costs.close(edge.at)
        is_closed = edge.to_state is CLOSED
    costs.finish(traffic.horizon)
    figures = costs.figures()
    rejected = calls.count(UNKNOWN)
    failed = calls.count(FAILED)
    return Evaluation(
        Figures(
            trips=figures.trips,
            open_ns=figures.open_ns,
            rejected=Range(rejected, rejected),
            saved=Range(0, rejected),
            lost=Range(0, rejected),
            let_through=Range(failed, failed),
        ),
        outages,
        delays.detection,
        of_ended_outages(outages, delays.recovery),
    )


def summarize_delays(delays: Sequence[Delay]) -> DelaySummary | None:
    """Summarize the delays of several outages; None if there are none."""
    if not delays:
        return None
    lows, highs = [delay.low for delay in delays], [delay.high for delay in delays]
    return DelaySummary(
        median=(_median(lows), _median(highs)),
        longest=(_longest(lows), _longest(highs)),
        ended=Range(sum(high is not None for high in highs), sum(low is not None for low in lows)),
    )


def _median(delays: Sequence[int | None]) -> int | None:
    ended = sorted(delay for delay in delays if delay is not None)
    middle = (len(delays) - 1) // 2
    return ended[middle] if middle < len(ended) else None


def _longest(delays: Sequence[int | None]) -> int | None:
    ended = [delay for delay in delays if delay is not None]
    return max(ended) if len(ended) == len(delays) else None
