"""What if: what other settings would have made of the same calls.

Each breaker is taken alone, as if it had a log of its own, and each call is taken to end as it did,
whatever became of the others: that a dependency recovers sooner when it is spared is not counted.

What is claimed, and proved by test:

* Where every outcome is known, the result is that of a live breaker driven with the calls.
* Where outcomes are unknown, because the breaker that was recorded refused the calls, each of them
  may have succeeded or failed, and been slow or not. Whichever it was, every figure lies in its
  range. A range can be wider than need be where windows hold unknown outcomes. How long such a call
  would have taken is not known either, and is assumed; see ``recloser.simulate.recorded_calls``.
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
from recloser.whatif.costs import Figures, Costs, Range, widest_figures
from recloser.whatif.outages import OUTAGE_FAILURES, Delay, Delays, Outage, outages_of
from recloser.whatif.unknown_outcomes import UncertainSimulation

MAX_BRANCHES: Final = 150_000
"""So many courses are followed for one breaker before only the obvious is said of it."""


@frozen
class Evaluation:
    """What a configuration came to on the calls of one breaker.

    Attributes:
        figures: The figures.
        outages: The outages among the calls, which are the same for every configuration.
        detection: For each outage, from its first failure until the breaker was not closed.
        recovery: For each outage that ended, from its end until the breaker was closed.
        followed: Whether all possible courses were followed; else the figures say only what is
            true of any configuration.
    """

    figures: Figures
    outages: Sequence[Outage]
    detection: Sequence[Delay]
    recovery: Sequence[Delay]
    followed: bool = True


@frozen
class DelaySummary:
    """A delay over several outages; None stands for one that did not end.

    Attributes:
        median: The median, at least and at most.
        longest: The longest, at least and at most.
        ended: How many outages it came to an end for.
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
    """What a configuration comes to on the calls of one breaker.

    Args:
        calls: The calls.
        config: The settings; its mode is taken for ``enforce``.
        horizon: When the record ends, in nanoseconds of the log.
        outages: The outages among the calls.
        max_branches: So many courses are followed before only the obvious is said.
    """
    settings = as_config(config)
    delays = Delays(outages)
    first = UncertainSimulation(calls, settings, Costs(calls, delays), horizon)
    ledger = _followed(first, max_branches)
    if ledger is None:
        unsure = [Delay(0, None) for _ in outages]
        span = horizon - calls.starts[0]
        recovery = _of_those_over(outages, unsure)
        return Evaluation(widest_figures(calls, span), outages, unsure, recovery, followed=False)
    recovery = _of_those_over(outages, delays.recovery)
    return Evaluation(ledger.figures(), outages, delays.detection, recovery)


def _of_those_over(outages: Sequence[Outage], delays: Sequence[Delay]) -> Sequence[Delay]:
    return [delay for outage, delay in zip(outages, delays, strict=True) if outage.over is not None]


def _followed(first: UncertainSimulation, max_branches: int) -> Costs | None:
    """The figures of all possible courses in one; None if there are too many."""
    whole: Costs | None = None
    waiting: dict[tuple[object, ...], tuple[UncertainSimulation, Sequence[tuple[bool, bool]]]] = {}
    order: list[tuple[int, int, tuple[object, ...]]] = []
    numbers = count()
    running = [first]
    branches = 0
    while running or order:
        for course in running:
            answers = course.run()
            if not answers:
                if whole is None:
                    whole = course.ledger
                else:
                    whole.widen(course.ledger)
                continue
            key = course.key
            if key in waiting:
                waiting[key][0].ledger.widen(course.ledger)
            else:
                waiting[key] = course, answers
                heapq.heappush(order, (course.place, next(numbers), key))
        running = []
        if order:
            course, answers = waiting.pop(heapq.heappop(order)[2])
            branches += len(answers)
            if branches > max_branches:
                return None
            for answer in answers[1:]:
                other = course.copy()
                other.answer(answer)
                running.append(other)
            course.answer(answers[0])
            running.append(course)
    return whole


def what_if(
    traffic: Traffic,
    config: Callable[[str], Settings],
    failures: int = OUTAGE_FAILURES,
) -> Mapping[str, Evaluation]:
    """What the configuration would have made of each breaker's calls.

    Args:
        traffic: The calls.
        config: The settings of the breaker of a name.
        failures: So many failures in a row are an outage.
    """
    return {
        name: evaluate(calls, config(name), traffic.horizon, outages_of(calls, failures))
        for name, calls in traffic.calls.items()
    }


def what_happened(traffic: Traffic, failures: int = OUTAGE_FAILURES) -> Mapping[str, Evaluation]:
    """What happened: the history of recorded breakers; for imported traffic, nothing was refused."""
    return {
        name: _recorded(traffic, calls, outages_of(calls, failures))
        for name, calls in traffic.calls.items()
    }


def _recorded(traffic: Traffic, calls: Calls, outages: Sequence[Outage]) -> Evaluation:
    delays = Delays(outages)
    ledger = Costs(calls, delays)
    is_closed = True
    for edge in traffic.edges:
        if edge.breaker != calls.breaker:
            continue
        if is_closed and edge.to_state is not CLOSED:
            ledger.open(edge.at)
        elif not is_closed and edge.to_state is CLOSED:
            ledger.close(edge.at)
        is_closed = edge.to_state is CLOSED
    ledger.finish(traffic.horizon)
    figures = ledger.figures()
    refused = calls.count(UNKNOWN)
    failed = calls.count(FAILED)
    return Evaluation(
        Figures(
            trips=figures.trips,
            open_ns=figures.open_ns,
            rejected=Range(refused, refused),
            saved=Range(0, refused),
            lost=Range(0, refused),
            let_through=Range(failed, failed),
        ),
        outages,
        delays.detection,
        _of_those_over(outages, delays.recovery),
    )


def summarize_delays(delays: Sequence[Delay]) -> DelaySummary | None:
    """A delay over several outages; None if there is no outage."""
    if not delays:
        return None
    lows, highs = [delay.low for delay in delays], [delay.high for delay in delays]
    return DelaySummary(
        median=(_median(lows), _median(highs)),
        longest=(_last(lows), _last(highs)),
        ended=Range(sum(high is not None for high in highs), sum(low is not None for low in lows)),
    )


def _median(delays: Sequence[int | None]) -> int | None:
    ended = sorted(delay for delay in delays if delay is not None)
    middle = (len(delays) - 1) // 2
    return ended[middle] if middle < len(ended) else None


def _last(delays: Sequence[int | None]) -> int | None:
    ended = [delay for delay in delays if delay is not None]
    return max(ended) if len(ended) == len(delays) else None
