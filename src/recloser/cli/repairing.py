"""``recloser repair``: what is whole of a damaged log."""

from collections.abc import Sequence
from pathlib import Path

import click

from recloser.cli.arguments import json_option
from recloser.cli.terminal import counted, print_json, print_text, printable
from recloser.errors import LogError
from recloser.log.listing import errors_of, is_anything_at, is_folder, is_there
from recloser.log.verification import KeptSegment, whole_part, write_whole_part


@click.command(short_help="Keep what is whole of a damaged log.")
@click.argument("log", metavar="LOG", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="REPAIRED",
    help="The folder to write to; by default LOG-repaired. It must not exist.",
)
@click.option("--in-place", is_flag=True, help="Repair LOG itself; LOG.broken keeps what it was.")
@click.option("--yes", is_flag=True, help="Do not ask before repairing in place.")
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@json_option
def command(
    *, log: Path, out: Path | None, in_place: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Keep what LOG holds before its first damage, and say what is dropped.

    A copy is written, and LOG left as it is, unless --in-place is given.
    """
    if in_place and out is not None:
        raise click.UsageError("-o and --in-place exclude each other")
    with errors_of(log):
        is_one_file = is_there(log) and not is_folder(log)
    if in_place and is_one_file:
        raise LogError(f"{log}: only a folder can be repaired in place; choose an output with -o")
    kept = whole_part(log)
    target = out or log.with_name(f"{log.name}-repaired")
    if not dry_run and in_place:
        if not yes:
            click.confirm(f"{_told(kept)}. Repair {log} in place?", abort=True, err=True)
        target = log
        _set_aside(log)
        kept = [KeptSegment(_broken(log) / s.path.name, s.kept, s.dropped) for s in kept]
    if not dry_run:
        write_whole_part(kept, target)
    if as_json:
        segments = [{"segment": s.path.name, "kept": s.kept, "dropped": s.dropped} for s in kept]
        written = None if dry_run else str(target)
        print_json({"schema": "recloser.repair/1", "written": written, "segments": segments})
        return
    for segment in kept:
        if segment.dropped:
            print_text(
                printable(f"{segment.path.name}: {counted(segment.dropped, 'byte')} dropped")
            )
    written = "nothing written" if dry_run else f"written to {target}"
    print_text(printable(f"{_told(kept)}; {written}"))


def _told(kept: Sequence[KeptSegment]) -> str:
    return (
        f"{counted(sum(s.kept for s in kept), 'byte')} kept, "
        f"{counted(sum(s.dropped for s in kept), 'byte')} dropped"
    )


def _broken(log: Path) -> Path:
    return log.with_name(f"{log.name}.broken")


def _set_aside(log: Path) -> None:
    with errors_of(_broken(log)):
        is_taken = is_anything_at(_broken(log))
    if is_taken:
        raise LogError(f"{_broken(log)} exists already and is left as it is; move it first")
    log.rename(_broken(log))  # never into a folder that a link of this name leads to
