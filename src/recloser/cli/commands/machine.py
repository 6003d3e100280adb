"""``recloser machine``: the state machine as a diagram."""

import click

from recloser.cli.options import json_option
from recloser.cli.render.terminal import print_json, print_text
from recloser.core import state_machine


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
        print_json({"schema": "recloser.core.state_machine/1", "edges": state_machine.as_data()})
    else:
        print_text(state_machine.mermaid() if form == "mermaid" else state_machine.dot())
