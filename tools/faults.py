"""Makes each call to the disk fail in turn, with each of five errors.

    python tools/faults.py [--calls N]

Runs the loop that the tests run, with a longer scenario: the first call to the disk fails, then the
second, and so on until the scenario makes no call that has not failed once. Every event of a caller
must then be in the log or counted as lost.
"""

import logging

import click
import support_path  # noqa: F401  # the next import needs it
from faulty_disk import fail_each_call


@click.command(help=__doc__)
@click.option(
    "--calls", default=60, show_default=True, help="The number of protected calls per run."
)
def main(*, calls: int) -> None:
    """Run the loop and print how many events were lost."""
    logging.getLogger("recloser").setLevel(logging.CRITICAL)
    runs = lost = 0
    for _error, _number, outcome in fail_each_call(calls):
        assert outcome.found + outcome.lost == outcome.appended, outcome
        runs += 1
        lost += outcome.lost
    click.echo(f"{runs} runs with one failed call each: {lost} events lost, all of them counted")


if __name__ == "__main__":
    main()
