"""``recloser export``: a log as one file of columns, or the stream of a fleet as a log."""

from pathlib import Path

import click

from recloser.cli.options import json_option, log_path, note_tail
from recloser.cli.render.terminal import counted, print_json, print_text, printable, progress_bar
from recloser.cli.stream_exporting import export_stream_to, is_stream
from recloser.errors import LogError
from recloser.log.reader import PARQUET_SUFFIX, LogReader, parquet_libraries
from recloser.log.verification import refuse_existing
from recloser.proof.baseline import with_progress


@click.command(short_help="Write a log as Parquet, or a fleet's stream as a log.")
@click.argument("log", metavar="SOURCE")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@json_option
def command(*, log: str, out: Path, as_json: bool) -> None:
    """Write a log to OUT.parquet, sorted by breaker and seq, with nothing lost.

    Every command reads it as it reads the log, and replay by its columns.

    If SOURCE is redis://HOST:PORT/DB?stream=NAME, or the like with rediss, valkey or unix, the
    history of that stream is written to the folder OUT, as a log. OUT must not exist.
    """
    if is_stream(log):
        export_stream_to(log, out, as_json=as_json)
        return
    if out.suffix != PARQUET_SUFFIX:
        raise LogError(f"{out}: columns are written to a file whose name ends in {PARQUET_SUFFIX}")
    refuse_existing(out)
    with parquet_libraries():
        from recloser.log.parquet import write_parquet
    with log_path(log) as path, progress_bar() as progress:
        events = LogReader(path)
        about = write_parquet(
            with_progress(events, "exporting", None, progress), out, lambda: events.tail
        )
    note_tail(path, events.tail)
    size = out.stat().st_size
    if as_json:
        print_json(
            {
                "schema": "recloser.export/1",
                "written": str(out),
                "events": about.events,
                "bytes": size,
            }
        )
        return
    print_text(
        printable(
            f"{counted(about.events, 'event')} written to {out}: {size:,} bytes, "
            f"{size / about.events:.1f} an event"
        )
    )
