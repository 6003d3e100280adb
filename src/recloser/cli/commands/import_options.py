"""Options that the subcommands of ``recloser import`` share, and the import itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from recloser import cli
from recloser.cli.options import json_option
from recloser.cli.render.import_report import print_outcomes, report, warn_of_many_breakers
from recloser.cli.render.terminal import stages_progress
from recloser.core.validation import MAX_SECONDS, nanoseconds
from recloser.errors import ConfigError
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs
from recloser.importers.trace_import import TraceImport
from recloser.log.listing import errors_of

FAILURES: Final = ("5xx",)
"""The default of ``--failure``."""

F = TypeVar("F", bound=Callable[..., Any])

slow_option = click.option(
    "--slow",
    "slow_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Count a success that took longer as failed; by default, only the breaker's setting "
    "slow_call_seconds treats calls as slow.",
)
labels_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="FIELD",
    help="A field to keep with each call, which why shows; can be repeated.",
)
unreadable_option = click.option(
    "--unreadable",
    "limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of the lines that can't be read to show; 0 shows up to 1000.",
)
producers_option = click.option(
    "--producers", is_flag=True, help="In traces of spans, count sent messages as calls too."
)


def out_option(*, required: bool = True) -> Callable[[F], F]:
    """Add ``-o``, the folder of the log."""
    return click.option(
        "-o",
        "out",
        required=required,
        type=click.Path(path_type=Path),
        metavar="LOG",
        help="The folder to write the log to, which must not exist.",
    )


def breaker_option(default: str | None = None) -> Callable[[F], F]:
    """Add ``--breaker``, which is required unless it has a default."""
    more: dict[str, Any] = (
        {"required": True} if default is None else {"default": default, "show_default": True}
    )
    return click.option(
        "--breaker",
        metavar="TEMPLATE",
        help="The name of a call's breaker, made from the fields of the call, such as "
        "'{caller}->{target}'.",
        **more,
    )


def format_options(
    breaker: str | None = None, failures: Sequence[str] = FAILURES, ignored: Sequence[str] = ()
) -> Callable[[F], F]:
    """Add the argument and the options of a subcommand for one format.

    Args:
        breaker: The default of ``--breaker``; None to require the option.
        failures: The default of ``--failure``.
        ignored: The default of ``--ignore``.
    """
    decorators = (
        click.argument("file", metavar="FILE"),
        out_option(),
        breaker_option(breaker),
        click.option(
            "--failure",
            "failures",
            multiple=True,
            default=failures,
            show_default=True,
            metavar="VALUE",
            help="An outcome that counts as failed: a value, a class such as 5xx, or a range such as "
            "500-599; can be repeated.",
        ),
        click.option(
            "--ignore",
            "ignored",
            multiple=True,
            default=ignored,
            show_default=True,
            metavar="VALUE",
            help="An outcome that counts as neither, written as for --failure; can be repeated.",
        ),
        result_options,
    )

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def result_options(function: F) -> F:
    """Add the options that every subcommand has: for slow calls, labels and what is printed."""
    for decorator in (json_option, unreadable_option, labels_option, slow_option):
        function = decorator(function)
    return function


def slow_ns_of(seconds: float | None) -> int | None:
    """Convert the seconds of ``--slow`` to nanoseconds.

    Raises:
        ConfigError: The number of seconds is larger than a log can hold.
    """
    if seconds is None:
        return None
    if not seconds <= MAX_SECONDS:  # written so that a NaN is refused too
        raise ConfigError(f"--slow is a number of seconds, at most {MAX_SECONDS:,}")
    return nanoseconds(seconds)


def size_of(file: str) -> int:
    """The size of a file in bytes; 0 for standard input."""
    if file == "-":
        return 0
    with errors_of(Path(file)):
        return Path(file).stat().st_size


def import_as(
    request: ImportRequest,
    file: str,
    out: Path,
    *,
    slow_seconds: float | None,
    limit: int,
    as_json: bool,
) -> int:
    """Import a file of a known format, and print what was imported.

    Args:
        request: The format and the meaning of its fields.
        file: The path of the file; ``-`` for standard input.
        out: The folder of the log.
        slow_seconds: The value of ``--slow``.
        limit: How many of the lines that can't be read to show; 0 shows all that are kept.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status.
    """
    options = attrs.evolve(request.options, slow_ns=slow_ns_of(slow_seconds))
    with stages_progress(file, size_of(file)) as stages:
        inputs = Inputs([file], None if stages is None else stages.advance_reading)
        ready = TraceImport(inputs, attrs.evolve(request, options=options))
        summary = ready.write(out)
    report(summary, ready, out=str(out), limit=limit, as_json=as_json)
    if not as_json:
        print_outcomes(ready)
    warn_of_many_breakers(summary, is_grouped=True)  # these subcommands have no --group
    return cli.DAMAGED if summary.unread or ready.cuts else 0
