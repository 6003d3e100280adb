"""How long it takes to try 1,000 settings on the calls of a trace, and to replay them once.

The traces and grids are those of ``tools/tune_cost.py``: calls of one breaker, of which 0.01 % and
30 % fail, and for each rule fifty settings by twenty recovery timeouts.
"""

from collections.abc import Iterator
from typing import Final

from bench.effort import Effort
from bench.results import Group, Series
from bench.starting import MILLISECONDS

REPLAY: Final = "one replay by columns"
TUNE: Final = "1,000 settings"

SHARES: Final = (0.0001, 0.3)
KINDS: Final = ("failures in a row", "count windows", "time windows")


def key_of(kind: str, share: float) -> str:
    """The short name of a group."""
    return f"tune-{kind.partition(' ')[0]}-{100 * share:g}"


def measured(effort: Effort) -> Iterator[Group]:
    """Measure the milliseconds of one turn each; several runs show how much they vary."""
    import tune_cost

    for share in SHARES:
        trace = tune_cost.made_up(effort.tuned, share)
        for kind in KINDS:
            base, axes = tune_cost.GRIDS[kind]
            replayed, tuned, edges = tune_cost.measured(trace, base, axes, None, rounds=1)
            yield Group(
                key_of(kind, share),
                f"1,000 settings on {effort.tuned:,} calls, {kind}, {share:.2%} fail",
                MILLISECONDS,
                REPLAY,
                (
                    Series(REPLAY, (1000 * replayed,), figures={"edges": edges}),
                    Series(TUNE, (1000 * tuned,)),
                ),
            )
