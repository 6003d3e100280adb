"""``recloser machine``: the state machine as a diagram."""

import click

from recloser.cli.options import json_option
from recloser.cli.render.schemas.log_schemas import machine_object
from recloser.cli.render.terminal import print_json, print_text
from recloser.core import state_machine


@click.command(short_help="Print the state machine of a breaker as a diagram.")
@click.option(
    "--format",
    "diagram",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="The language of the diagram: Mermaid, or Graphviz's dot.",
)
@json_option
def command(*, diagram: str, as_json: bool) -> None:
    """Print the states of a breaker and the edges between them.

    The diagram is made from the declaration that every breaker runs on.
    """
    if as_json:
        print_json(machine_object(state_machine.as_data()))
    else:
        print_text(state_machine.mermaid() if diagram == "mermaid" else state_machine.dot())
