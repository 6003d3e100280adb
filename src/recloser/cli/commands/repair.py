"""``recloser repair``: what is whole of a damaged log."""

from pathlib import Path

import click

from recloser.cli.options import json_option
from recloser.cli.render.terminal import counted, print_json, print_text, printable
from recloser.errors import LogError
from recloser.log.listing import errors_of, is_anything_at, is_folder, is_there
from recloser.log.salvage import Repair, find_intact, repair_in_place, write_intact


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
    """Keep what is whole of LOG, and say what is dropped.

    After a damaged part it is gone on with from the next segment that begins with the states of all
    breakers; a gap in the log says what is missing. A copy is written, and LOG left as it is, unless
    --in-place is given.
    """
    if in_place and out is not None:
        raise click.UsageError("-o and --in-place exclude each other")
    with errors_of(log):
        is_one_file = is_there(log) and not is_folder(log)
    if in_place and is_one_file:
        raise LogError(f"{log}: only a folder can be repaired in place; choose an output with -o")
    repair = find_intact(log)
    target = out or log.with_name(f"{log.name}-repaired")
    if not dry_run and in_place:
        target = log
        _refuse_broken(log)
        if not yes:
            click.confirm(f"{_told(repair)}. Repair {log} in place?", abort=True, err=True)
        repair = repair_in_place(log, _broken(log))
    elif not dry_run:
        write_intact(repair, target)
    if as_json:
        _print_json(repair, None if dry_run else target)
        return
    for segment in repair.segments:
        if segment.dropped:
            print_text(
                printable(f"{segment.path.name}: {counted(segment.dropped, 'byte')} dropped")
            )
        if segment.lost:
            click.echo(
                printable(
                    f"{segment.path.name}: a gap follows, of up to {counted(segment.lost, 'event')}"
                )
            )
    written = "nothing written" if dry_run else f"written to {target}"
    print_text(printable(f"{_told(repair)}; {written}"))


def _print_json(repair: Repair, written: Path | None) -> None:
    segments = [
        {"segment": s.path.name, "kept": s.kept, "dropped": s.dropped, "lost": s.lost}
        for s in repair.segments
    ]
    target = None if written is None else str(written)
    print_json({"schema": "recloser.repair/1", "written": target, "segments": segments})


def _told(repair: Repair) -> str:
    return (
        f"{counted(sum(s.kept for s in repair.segments), 'byte')} kept, "
        f"{counted(sum(s.dropped for s in repair.segments), 'byte')} dropped"
    )


def _broken(log: Path) -> Path:
    return log.with_name(f"{log.name}.broken")


def _refuse_broken(log: Path) -> None:
    with errors_of(_broken(log)):
        is_taken = is_anything_at(_broken(log))
    if is_taken:
        raise LogError(f"{_broken(log)} exists already and is left as it is; move it first")
