"""``recloser verify``: whether a log is what was written."""

import attrs
import click

from recloser import cli
from recloser.cli.options import json_option, log_argument, log_path
from recloser.cli.render.terminal import counted, note, print_json, print_text, printable
from recloser.core.events import GENESIS
from recloser.log.verification import Head, Verification, verify


def _head(_context: click.Context, _option: click.Parameter, value: str | None) -> Head | None:
    if value is None:
        return None
    seq, colon, digest = value.partition(":")
    if not (colon and seq.isdecimal() and len(seq) < len(GENESIS) and len(digest) == len(GENESIS)):
        raise click.BadParameter("a head is SEQ:DIGEST, as verify prints it")
    return Head(int(seq), digest)


@click.command(short_help="Check the seals.")
@log_argument
@click.option(
    "--expect-head",
    "expected",
    callback=_head,
    metavar="SEQ:DIGEST",
    help="A head printed earlier and kept elsewhere, which must still be in the log.",
)
@json_option
def command(*, log: str, expected: Head | None, as_json: bool) -> int:
    """Check that LOG is, byte for byte, what was written.

    Each damage is told with its segment, byte and seal. A log cut exactly behind a seal is a valid
    shorter log; keep the head that is printed elsewhere and give it back with --expect-head to
    find that out. Exit status 3 is damage, 4 a torn tail only, 1 a head that is missing.
    """
    with log_path(log) as path:
        result = verify(path, expected)
    for damage in result.damages:
        note(damage)
    if result.found is False:
        note(f"the head {expected} is not in this log: its end has been cut off, or it is another")
    if as_json:
        head = None if result.head is None else str(result.head)
        print_json({"schema": "recloser.verify/1", **attrs.asdict(result), "head": head})
    else:
        _print(result)
    if result.damages:
        return cli.DAMAGED
    if result.found is False:
        return cli.DIFFERENCE
    return cli.TORN if result.tail.torn else 0


def _print(result: Verification) -> None:
    damage = counted(len(result.damages), "damage") if result.damages else "whole"
    print_text(
        f"{damage}: {counted(result.events, 'event')} in {counted(result.segments, 'segment')}, "
        f"{counted(result.seals, 'seal')} match"
    )
    if result.tail.unsealed:
        print_text(f"unsealed: {counted(result.tail.unsealed, 'event')} at the end")
    if result.tail.torn:
        print_text(f"torn: {counted(result.tail.torn, 'byte')} of a last line not written whole")
    if result.head is not None:
        print_text(f"head: {printable(str(result.head))}")
