"""How much is measured: in earnest, or only to see that every measurement works."""

from typing import Final

from attrs import evolve, frozen

from bench.partner import Partner, Service

_SHARE_INTERPRETED: Final = 20
"""Factor by which the longest logs are shorter for an interpreted recloser."""


@frozen
class Effort:
    """How much of everything.

    Attributes:
        rounds: How often each subject of a call path takes its turn.
        round_seconds: How long a turn lasts, about; with 0, it is as short as can be.
        hostile_rounds: The same as ``rounds`` for calls of which a share fails.
        hostile_seconds: How long such a turn lasts.
        long_rounds: How often what takes seconds takes its turn.
        sleeping_calls: How many calls of 5 ms each thread makes in a turn.
        events: How many are appended and replayed.
        imported: How many lines or spans are imported.
        columns: How many events are folded by columns.
        folded: How many events are folded one by one.
        tuned: How many calls 1,000 settings are tried on.
        opened: How many events there are in the log that is opened.
        breakers: How many there are when the memory of one is measured.
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
