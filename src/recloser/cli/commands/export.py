"""``recloser export``: a log as one Parquet file, or the stream of shared breakers as a log."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from recloser.cli.commands.export_stream import export_stream_to, is_stream
from recloser.cli.log_input import log_path, note_tail
from recloser.cli.options import examples, json_option
from recloser.cli.render.schemas.log_schemas import export_object
from recloser.cli.render.terminal import print_json, print_text, progress_bar
from recloser.core.events import Event
from recloser.core.formatting import printable, quantity
from recloser.errors import LogError
from recloser.log.reader import PARQUET_SUFFIX, LogReader, parquet_libraries
from recloser.log.verification import refuse_existing

_EVENTS_PER_UPDATE: Final = 10_000


@click.command(
    short_help="Write a log as Parquet, or the stream of shared breakers as a log.",
    epilog=examples(
        "recloser export logs/payments payments.parquet",
        "recloser export 'redis://localhost:6379/0?stream=payments' history",
    ),
)
@click.argument("source", metavar="SOURCE")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@json_option
def command(*, source: str, out: Path, as_json: bool) -> None:
    """Write the log SOURCE to the file OUT.parquet, sorted by breaker and seq.

    Nothing is lost: every command reads the file as it reads the log, and replay is faster on it.

    If SOURCE is the URL of a Redis or Valkey server (redis://, rediss://, valkey://, valkeys:// or
    unix://), the history of one stream of shared breakers is written as a log to the folder OUT.
    OUT must not exist.
    """
    if is_stream(source):
        export_stream_to(source, out, as_json=as_json)
        return
    if out.suffix != PARQUET_SUFFIX:
        raise LogError(
            f"{out}: a log is exported as Parquet; choose a name that ends in {PARQUET_SUFFIX}"
        )
    refuse_existing(out)
    with parquet_libraries():
        from recloser.log.parquet import write_parquet
    with log_path(source) as path, progress_bar() as progress:
        events = LogReader(path)
        about = write_parquet(_with_progress(events, progress), out, lambda: events.tail)
    note_tail(path, events.tail)
    size = out.stat().st_size
    if as_json:
        print_json(export_object(str(out), about.events, bytes=size))
        return
    print_text(
        printable(
            f"{quantity(about.events, 'event')} written to {out}: {size:,} bytes, "
            f"{size / about.events:.1f} per event"
        )
    )


def _with_progress(
    events: Iterable[Event], progress: Callable[[str, int, int | None], None] | None
) -> Iterator[Event]:
    for count, event in enumerate(events):
        if progress is not None and count % _EVENTS_PER_UPDATE == 0:
            progress("exporting", count, None)
        yield event
