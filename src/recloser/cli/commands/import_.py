"""``recloser import``: production traces as logs of calls, for replay to drive breakers with."""

import click

from recloser.cli.commands import import_files
from recloser.cli.commands.import_access_log import command as access_log
from recloser.cli.commands.import_csv import command as csv
from recloser.cli.commands.import_resilience4j import command as resilience4j
from recloser.cli.commands.import_spans import jaeger, otlp, zipkin
from recloser.cli.options import examples
from recloser.cli.render.terminal import print_table
from recloser.importers.formats.format_description import all_formats


class _FilesGroup(click.Group):
    """A group that passes a first word which is not a subcommand to ``import_files``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["files", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "FILE... -o LOG [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of ``import_files``, which users give to this group."""
        parameters = import_files.command.get_params(ctx)
        options = [each for each in parameters if isinstance(each, click.Option)]
        records = [record for each in options if (record := each.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)
        self.format_commands(ctx, formatter)


@click.group(
    cls=_FilesGroup,
    short_help="Turn production traces into a log of calls.",
    epilog=examples(
        "recloser import access.log -o calls --breaker '{host}'",
        "recloser import access.log --dry-run",
        "recloser import spans.json -o calls --breaker '{caller}->{target}'",
        "recloser import app.jsonl -o calls --start ts:ms --duration took:ms \\",
        "    --outcome status --breaker '{target}'",
    ),
)
def command() -> None:
    """Turn production traces into a log of calls, for replay to drive breakers with.

    The format of the files is recognised. The command prints how it understands them: the format, the
    first three calls, what each outcome is taken for, and the full command that imports them in this
    way. Name a format with --format instead, or use a subcommand; recloser import formats lists all.

    FILE may be a folder, a pattern, or one piece of a rotated log, and packed as gzip, zstd, bz2, xz,
    zip or tar; - is standard input.

    Exit status: 3 the log is written, but a line could not be read; such lines are shown and counted.
    """


@click.command("formats", short_help="List the formats that import knows.")
def _formats() -> None:
    """List the formats that import knows, by the names that --format takes."""
    listed = [each for each in all_formats() if not each.is_abstract]
    print_table(["format", "what it is"], [(each.name, each.title) for each in listed])


for _subcommand in (
    import_files.command,
    _formats,
    csv,
    access_log,
    otlp,
    jaeger,
    zipkin,
    resilience4j,
):
    command.add_command(_subcommand)
