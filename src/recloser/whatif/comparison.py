"""What-if: what other settings would have done with the same calls.

Each breaker is evaluated alone, as if it had its own log. Every call keeps the outcome that it had:
the evaluation does not account for a dependency that recovers sooner because it gets fewer calls.

Two properties are tested:

* If every outcome is known, the result equals that of a live breaker driven with the same calls.
* If outcomes are unknown, because the recorded breaker rejected those calls, then the true value of
  each figure lies in its range, whether those calls would have succeeded or failed and whether they
  would have been slow. With a window, a range can be wider than necessary. The duration of such a
  call is an assumption (see ``recloser.simulate.recorded_calls``).
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final

from attrs import frozen

from recloser.core.config import Settings, as_config
from recloser.core.state_machine import CLOSED
from recloser.simulate.call_table import FAILED, UNKNOWN, Calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.costs import Costs, Figures, Range, widest_figures
from recloser.whatif.outages import OUTAGE_FAILURES, Delay, Delays, Outage, outages_of
from recloser.whatif.unknown_outcomes import Answer, UncertainSimulation

MAX_BRANCHES: Final = 150_000
"""How many answers are tried for one breaker before the evaluation gives up and returns bounds."""


@frozen
class Evaluation:
    """The result of some settings on the calls of one breaker.

    Attributes:
        figures: What the breaker cost and saved.
        outages: The outages among the calls; they do not depend on the settings.
        detection: For each outage, the delay from its first failure until the breaker was not closed.
        recovery: For each outage that ended, the delay from its end until the breaker was closed.
        is_complete: Whether all possible outcomes of the unknown calls were tried. If not, the
            figures are bounds that hold for any settings.
    """

    figures: Figures
    outages: Sequence[Outage]
    detection: Sequence[Delay]
    recovery: Sequence[Delay]
    is_complete: bool = True


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


def evaluate(
    calls: Calls,
    config: Settings,
    horizon: int,
    outages: Sequence[Outage],
    max_branches: int = MAX_BRANCHES,
) -> Evaluation:
    """Evaluate settings on the calls of one breaker.

    Args:
        calls: The calls.
        config: The settings; the mode is always taken as ``enforce``.
        horizon: When the log ends, in nanoseconds of the log's time.
        outages: The outages among the calls.
        max_branches: How many answers for unknown outcomes to try before giving up.
    """
    settings = as_config(config)
    delays = Delays(outages)
    first = UncertainSimulation(calls, settings, Costs(calls, delays), horizon)
    costs = _costs_of_all_answers(first, max_branches)
    if costs is None:
        unknown = [Delay(0, None) for _ in outages]
        span = horizon - calls.starts[0]
        recovery = _of_ended_outages(outages, unknown)
        return Evaluation(
            widest_figures(calls, span), outages, unknown, recovery, is_complete=False
        )
    recovery = _of_ended_outages(outages, delays.recovery)
    return Evaluation(costs.figures(), outages, delays.detection, recovery)


def _of_ended_outages(outages: Sequence[Outage], delays: Sequence[Delay]) -> Sequence[Delay]:
    return [delay for outage, delay in zip(outages, delays, strict=True) if outage.end is not None]


def _costs_of_all_answers(first: UncertainSimulation, max_branches: int) -> Costs | None:
    """Merge the costs of every possible simulation; None if there are more than ``max_branches``."""
    merged: Costs | None = None
    # Simulations that stopped at an unknown outcome, by key. The heap resumes the one whose call
    # ends first, so that simulations with equal keys meet and are merged before either goes on.
    # Without that, their number would double with each unknown outcome.
    waiting: dict[tuple[object, ...], tuple[UncertainSimulation, Sequence[Answer]]] = {}
    order: list[tuple[int, int, tuple[object, ...]]] = []
    tie_breaker = count()
    running = [first]
    branches = 0
    while running or order:
        for simulation in running:
            answers = simulation.run()
            if not answers:
                if merged is None:
                    merged = simulation.costs
                else:
                    merged.widen(simulation.costs)
                continue
            key = simulation.key
            if key in waiting:
                waiting[key][0].costs.widen(simulation.costs)
            else:
                waiting[key] = simulation, answers
                heapq.heappush(order, (simulation.end_index, next(tie_breaker), key))
        running = []
        if order:
            simulation, answers = waiting.pop(heapq.heappop(order)[2])
            branches += len(answers)
            if branches > max_branches:
                return None
            for answer in answers[1:]:
                other = simulation.copy()
                other.answer(answer)
                running.append(other)
            simulation.answer(answers[0])
            running.append(simulation)
    return merged


def what_if(
    traffic: Traffic,
    config: Callable[[str], Settings],
    failures: int = OUTAGE_FAILURES,
) -> Mapping[str, Evaluation]:
    """Evaluate settings on the calls of each breaker.

    Args:
        traffic: The calls.
        config: Returns the settings to try for the breaker with the given name.
        failures: How many consecutive failures make an outage.

    Returns:
        The evaluation of each breaker, by name.
    """
    return {
        name: evaluate(calls, config(name), traffic.horizon, outages_of(calls, failures))
        for name, calls in traffic.calls.items()
    }


def what_happened(traffic: Traffic, failures: int = OUTAGE_FAILURES) -> Mapping[str, Evaluation]:
    """Evaluate what the recorded breakers did; in imported traffic, no call was rejected.

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
        _of_ended_outages(outages, delays.recovery),
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
