"""``recloser verify``: whether a log is what was written."""

import click

from recloser import cli
from recloser.cli.log_input import log_path
from recloser.cli.options import examples, json_option, log_argument
from recloser.cli.render.schemas.log_schemas import verification_object
from recloser.cli.render.terminal import note, print_json, print_text
from recloser.core.events import GENESIS
from recloser.core.formatting import printable, quantity
from recloser.log.verification import Head, Verification, verify


def _head(_context: click.Context, _option: click.Parameter, value: str | None) -> Head | None:
    if value is None:
        return None
    seq, colon, digest = value.partition(":")
    if not (colon and seq.isdecimal() and len(seq) < len(GENESIS) and len(digest) == len(GENESIS)):
        raise click.BadParameter("a head is SEQ:DIGEST, as recloser verify prints it")
    return Head(int(seq), digest)


@click.command(
    short_help="Check the seals of a log, byte for byte.",
    epilog=examples(
        "recloser verify logs/payments",
        "recloser verify logs/payments --expect-head 1042:9f2c…",
    ),
)
@log_argument
@click.option(
    "--expect-head",
    "expected",
    callback=_head,
    metavar="SEQ:DIGEST",
    help="A head that verify printed earlier, which must still be in the log.",
)
@json_option
def command(*, log: str, expected: Head | None, as_json: bool) -> int:
    """Check that LOG is, byte for byte, what was written.

    LOG is a folder of segments, one segment, a Parquet file, or - for standard input. Each damaged
    place is reported with its segment, byte and seal.

    A log that was cut right after a seal is a valid, shorter log. To notice that, keep the head that
    verify prints somewhere else, and pass it to --expect-head later.

    Exit status: 3 the log is damaged, 4 only its last line is torn, 1 the head is not in it.
    """
    with log_path(log) as path:
        result = verify(path, expected)
    for damage in result.damages:
        note(damage)
    if result.found is False:
        note(f"the head {expected} is not in this log: its end was cut off, or this is another log")
    if as_json:
        print_json(verification_object(result))
    else:
        _print(result)
    if result.damages:
        return cli.DAMAGED
    if result.found is False:
        return cli.DIFFERENCE
    return cli.TORN if result.tail.torn else 0


def _print(result: Verification) -> None:
    damage = quantity(len(result.damages), "damage") if result.damages else "whole"
    print_text(
        f"{damage}: {quantity(result.events, 'event')} in {quantity(result.segments, 'segment')}, "
        f"{quantity(result.seals, 'seal')} match"
    )
    if result.tail.unsealed:
        print_text(f"unsealed: {quantity(result.tail.unsealed, 'event')} at the end")
    if result.tail.torn:
        print_text(f"torn: {quantity(result.tail.torn, 'byte')} of an incomplete last line")
    if result.head is not None:
        print_text(f"head: {printable(str(result.head))}")
