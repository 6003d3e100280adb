"""How much is measured: for real figures, or only to see that every measurement works."""

from typing import Final

from attrs import evolve, frozen

from bench.partner import Partner, Service

_SHARE_INTERPRETED: Final = 20
"""Factor by which the longest logs are shorter for an interpreted recloser."""


@frozen
class Effort:
    """The sizes of all measurements.

    Attributes:
        rounds: How many turns each subject of a call path has.
        round_seconds: About how many seconds a turn takes; 0 makes it as short as possible.
        hostile_rounds: How many turns each subject has when a share of the calls fails.
        hostile_seconds: About how many seconds such a turn takes.
        long_rounds: How many turns a subject has whose turn takes seconds.
        sleeping_calls: How many calls of 5 ms each thread makes in a turn.
        events: How many events are appended and replayed.
        imported: How many lines or spans are imported.
        columns: How many events are folded by columns.
        folded: How many events are folded one by one.
        tuned: How many calls 1,000 settings are tried on.
        opened: How many events the log has that is opened.
        breakers: How many breakers are made to measure the memory of one.
        starts: How often each program is started.
        partner: The process of an interpreted recloser, if it is measured too; in that process
            itself, the service that times its subjects.
    """

    rounds: int
    round_seconds: float
    hostile_rounds: int
    hostile_seconds: float
    long_rounds: int
    sleeping_calls: int
    events: int
    imported: int
    columns: int
    folded: int
    tuned: int
    opened: int
    breakers: int
    starts: int
    partner: Partner | Service | None = None

    def for_interpreted(self) -> "Effort":
        """The sizes for a recloser without compiled modules; its rates do not depend on them."""
        return evolve(
            self, columns=max(5_000, self.columns // _SHARE_INTERPRETED), folded=self.folded // 4
        )


FULL: Final = Effort(
    rounds=7,
    round_seconds=0.05,
    hostile_rounds=5,
    hostile_seconds=0.03,
    long_rounds=3,
    sleeping_calls=20,
    events=500_000,
    imported=200_000,
    columns=4_000_000,
    folded=100_000,
    tuned=1_000_000,
    opened=10_000_000,
    breakers=10_000,
    starts=9,
)
SMOKE: Final = Effort(
    rounds=1,
    round_seconds=0,
    hostile_rounds=1,
    hostile_seconds=0,
    long_rounds=1,
    sleeping_calls=1,
    events=5_000,
    imported=5_000,
    columns=5_000,
    folded=2_000,
    tuned=500,
    opened=5_000,
    breakers=50,
    starts=1,
)
