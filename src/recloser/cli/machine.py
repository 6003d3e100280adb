"""``recloser machine``: the state machine as a diagram."""

import click

from recloser import machine
from recloser.cli.arguments import json_option
from recloser.cli.terminal import print_json, print_text


@click.command(short_help="Print the state machine as a diagram.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="The language of the diagram.",
)
@json_option
def command(*, form: str, as_json: bool) -> None:
    """Print the state machine that drives every breaker, from its one declaration."""
    if as_json:
        print_json({"schema": "recloser.machine/1", "edges": machine.as_data()})
    else:
        print_text(machine.mermaid() if form == "mermaid" else machine.dot())
