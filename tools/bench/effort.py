"""How much is measured: in earnest, or only to see that every measurement works."""

from typing import Final

from attrs import frozen


@frozen
class Effort:
    """How much of everything.

    Attributes:
        rounds: How often each subject of a call path takes its turn.
        round_seconds: How long a turn lasts, about; with 0, it is as short as can be.
        long_rounds: The same for what takes seconds a turn.
        sleeping_calls: How many calls of 5 ms each thread makes in a turn.
        events: How many are appended, and replayed.
        folded: How many calls the logs have that are folded event after event.
        opened: How many there are in the log that is opened.
        breakers: How many there are when the memory of one is told.
        starts: How often each program is started.
    """

    rounds: int
    round_seconds: float
    long_rounds: int
    sleeping_calls: int
    events: int
    folded: int
    opened: int
    breakers: int
    starts: int


FULL: Final = Effort(
    rounds=25,
    round_seconds=0.05,
    long_rounds=5,
    sleeping_calls=20,
    events=500_000,
    folded=1_000_000,
    opened=10_000_000,
    breakers=100_000,
    starts=15,
)
SMOKE: Final = Effort(
    rounds=1,
    round_seconds=0,
    long_rounds=1,
    sleeping_calls=1,
    events=5_000,
    folded=5_000,
    opened=5_000,
    breakers=50,
    starts=1,
)
