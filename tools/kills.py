"""Kills a process that writes to a log, with SIGKILL at a random moment, round after round.

    python tools/kills.py [--rounds N] [--durability sync|batch]

With ``sync`` every outcome that was acknowledged must be in the log; with ``batch`` every outcome
that was acknowledged longer before the kill than the promised interval.
"""

import tempfile
from pathlib import Path

import click
import support_path  # noqa: F401  # the next import needs it
from kill_rounds import kill_rounds


@click.command(help=__doc__)
@click.option("--rounds", default=200, show_default=True, help="How often a process is killed.")
@click.option(
    "--durability",
    type=click.Choice(["sync", "batch"]),
    default="sync",
    show_default=True,
    help="What the log promises.",
)
def main(*, rounds: int, durability: str) -> None:
    """Run the rounds and print their figures."""
    with tempfile.TemporaryDirectory() as folder:
        click.echo(str(kill_rounds(Path(folder), rounds, durability)))


if __name__ == "__main__":
    main()
