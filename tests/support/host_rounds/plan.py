"""The plan of a round: a log, breakers, a load and attacks, all drawn from one seed."""

import json
import random
from typing import Any, Final, Self

import attrs

RAISE: Final = "raise"
INTERRUPT: Final = "interrupt"
SIGNAL_CALLS: Final = "signal-calls"
ASYNC_EXC: Final = "async-exc"
COLLECTOR: Final = "collector"
LOGGING: Final = "logging"
FORK: Final = "fork"
FORK_IN_HANDLER: Final = "fork-in-handler"
MULTIPROCESSING: Final = "multiprocessing"
CLOSE: Final = "close"
DISK: Final = "disk"
LONGEST_PROBE_SECONDS: Final = 0.05
"""The longest probe timeout of any plan, in seconds."""

NONE: Final = "none"
"""Used in place of an attack for a round without attacks."""

ATTACKS: Final = {
    RAISE: "a signal handler raises a soft time limit",
    INTERRUPT: "a sibling process sends SIGINT, which raises KeyboardInterrupt",
    SIGNAL_CALLS: "a signal handler calls breakers and the log",
    ASYNC_EXC: "PyThreadState_SetAsyncExc raises in worker threads",
    COLLECTOR: "__del__ calls breakers while garbage is collected, which happens all the time",
    LOGGING: "logging handlers call breakers, and are slow",
    FORK: "os.fork from several threads; the children call, fork, exit or are killed",
    FORK_IN_HANDLER: "a signal handler forks, in the middle of a call",
    MULTIPROCESSING: "multiprocessing with the fork method",
    CLOSE: "a signal handler closes the log",
    DISK: "writing to the disk fails and stalls for a while",
}
"""Names of the attacks, and what each does."""

WAYS: Final = ("call", "decorated", "block", "permits", "coroutine", "async block", "generator")
LISTENERS: Final = ("none", "none", "counting", "logging", "calling", "raising", "slow")
EXITS: Final = ("_exit", "sys.exit", "killed", "close")

_DURABILITIES: Final = ("batch", "batch", "sync", "memory")
_SEGMENT_BYTES: Final = (20_000, 60_000, 8 << 20)
_LOAD_SECONDS: Final = (0.25, 0.5)


@attrs.frozen
class Plan:
    """Plan of one round.

    Attributes:
        seed: The seed of the plan, and of the random choices of the process.
        log: ``events``, ``memory`` or ``none``.
        durability: The durability of an ``EventLog``.
        detail: The detail of an ``EventLog`` or ``MemoryLog``.
        segment_bytes: The segment size of an ``EventLog``, in bytes.
        configs: The settings of each breaker, as mappings.
        judges_results: Whether the last breaker has a ``failure_result``.
        late: Whether breakers are created by their first call, which may be in a child.
        threads: The number of worker threads, in addition to the main thread.
        has_loop: Whether one of them runs tasks in an event loop.
        listener: The kind of listener.
        ways: The ways in which breakers are called.
        seconds: The duration of the load, in seconds.
        fork_at: The fractions of the load at which a child is forked.
        exits: How each of these children ends.
        attacks: The names of the attacks.
        plant: A fault to be planted in the process, for a test of the judge; "" for none.
    """

    seed: int
    log: str = "events"
    durability: str = "batch"
    detail: str = "full"
    segment_bytes: int = 8 << 20
    configs: tuple[dict[str, Any], ...] = ()
    judges_results: bool = False
    late: bool = False
    threads: int = 2
    has_loop: bool = False
    listener: str = "none"
    ways: tuple[str, ...] = WAYS
    seconds: float = 0.3
    fork_at: tuple[float, ...] = ()
    exits: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    plant: str = ""

    def to_json(self) -> str:
        """Convert the plan to JSON, for the process of the round."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a plan from the JSON of ``to_json``."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
        }
        return cls(**fields)


def draw(seed: int, *, only: str | None = None, plant: str = "") -> Plan:
    """Draw the plan of a round.

    Args:
        seed: The same seed draws the same plan.
        only: The only attack; by default one to four are drawn.
        plant: A fault to plant; a round with one has no attacks.
    """
    chance = random.Random(seed)
    attacks = tuple(sorted(chance.sample(list(ATTACKS), chance.randint(1, 4))))
    if only is not None:
        attacks = () if only == NONE else (only,)
    forks = tuple(sorted(chance.random() for _ in range(chance.randint(1, 4))))
    has_many = chance.random() < 0.6
    plan = Plan(
        seed,
        log=chance.choice(["events"] * 6 + ["memory", "none"]),
        durability=chance.choice(_DURABILITIES),
        detail=chance.choice(["full", "full", "runs"]),
        segment_bytes=chance.choice(_SEGMENT_BYTES),
        configs=tuple(_config(chance) for _ in range(chance.randint(2, 3) if has_many else 1)),
        judges_results=chance.random() < 0.3,
        late=chance.random() < 0.3,
        threads=chance.randint(1, 4),
        has_loop=chance.random() < 0.25,
        listener=chance.choice(LISTENERS),
        ways=tuple(chance.sample(WAYS, chance.randint(2, len(WAYS)))),
        seconds=round(chance.uniform(*_LOAD_SECONDS), 3),
        fork_at=forks,
        exits=tuple(chance.choice(EXITS) for _ in forks),
        attacks=attacks,
        plant=plant,
    )
    if plant:
        return attrs.evolve(
            plan,
            log="events",
            durability="batch",
            detail="full",
            late=False,
            has_loop=False,
            listener="none",
            ways=("call", "permits"),
            fork_at=(0.3,) if plant == "child hang" else (),
            exits=("_exit",),
            attacks=(),
        )
    if not {FORK, MULTIPROCESSING} & set(attacks):
        plan = attrs.evolve(plan, fork_at=(), exits=())
    if {CLOSE, DISK} & set(attacks):
        plan = attrs.evolve(plan, log="events")
    if LOGGING in attacks and plan.listener == "none":
        plan = attrs.evolve(plan, listener=chance.choice(("logging", "raising")))
    return plan


def _config(chance: random.Random) -> dict[str, Any]:
    config: dict[str, Any] = {
        "failure_threshold": chance.choice((None, 3, 5, 20)),
        "recovery_timeout_seconds": chance.choice((0.005, 0.02, 0.05)),
        "half_open_max_probes": chance.choice((1, 3)),
        "half_open_success_threshold": chance.choice((0, 1, 2)),
        # A probe whose caller was interrupted never reports.
        "probe_timeout_seconds": chance.choice((0.02, LONGEST_PROBE_SECONDS)),
    }
    if chance.random() < 0.5:
        config["slow_call_seconds"] = 0.002
    rates: dict[str, Any] = {"failure_rate": 0.5, "minimum_calls": 10}
    if "slow_call_seconds" in config:
        rates["slow_call_rate"] = 0.8
    window = chance.choice(("none", "count", "time"))
    if window == "count":
        config["window"] = {"size": 30, **rates}
    elif window == "time":
        config["window"] = {"seconds": 2, **rates}
    if config["failure_threshold"] is None and window == "none" and chance.random() < 0.7:
        config["failure_threshold"] = 4
    return config
