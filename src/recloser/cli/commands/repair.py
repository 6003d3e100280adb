"""``recloser repair``: the undamaged part of a damaged log."""

from pathlib import Path

import click

from recloser.cli.options import examples, json_option
from recloser.cli.render.schemas.log_schemas import repair_object
from recloser.cli.render.terminal import print_json, print_text
from recloser.core.formatting import printable, quantity
from recloser.errors import LogError
from recloser.log.listing import errors_of, is_anything_at, is_folder, is_there
from recloser.log.salvage import Repair, find_intact, repair_in_place, write_intact


@click.command(
    short_help="Keep the undamaged part of a damaged log.",
    epilog=examples(
        "recloser repair logs/payments --dry-run",
        "recloser repair logs/payments -o logs/payments-repaired",
    ),
)
@click.argument("log", metavar="LOG", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="REPAIRED",
    help="The folder to write to, which must not exist; by default, LOG-repaired.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Repair LOG itself; the folder as it was is kept as LOG.broken.",
)
@click.option("--yes", is_flag=True, help="Do not ask before repairing in place.")
@click.option("--dry-run", is_flag=True, help="Show what would be dropped, and write nothing.")
@json_option
def command(
    *, log: Path, out: Path | None, in_place: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Copy the undamaged part of LOG, and show what is dropped.

    After damage, the copy continues at the next segment, which begins with the states of all
    breakers; a gap event says how many events may be missing. LOG is not changed without --in-place.
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
            click.confirm(f"{_summary(repair)}. Repair {log} in place?", abort=True, err=True)
        repair = repair_in_place(log, _broken(log))
    elif not dry_run:
        write_intact(repair, target)
    if as_json:
        print_json(repair_object(repair, None if dry_run else str(target)))
        return
    for segment in repair.segments:
        if segment.dropped:
            print_text(
                printable(f"{segment.path.name}: {quantity(segment.dropped, 'byte')} dropped")
            )
        if segment.lost:
            print_text(
                printable(
                    f"{segment.path.name}: followed by a gap of up to "
                    f"{quantity(segment.lost, 'event')}"
                )
            )
    written = "nothing written" if dry_run else f"written to {target}"
    print_text(printable(f"{_summary(repair)}; {written}"))


def _summary(repair: Repair) -> str:
    return (
        f"{quantity(sum(s.kept for s in repair.segments), 'byte')} kept, "
        f"{quantity(sum(s.dropped for s in repair.segments), 'byte')} dropped"
    )


def _broken(log: Path) -> Path:
    return log.with_name(f"{log.name}.broken")


def _refuse_broken(log: Path) -> None:
    with errors_of(_broken(log)):
        is_taken = is_anything_at(_broken(log))
    if is_taken:
        raise LogError(f"{_broken(log)} exists already and is left as it is; move it first")
