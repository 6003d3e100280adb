"""Help texts: every command and every option of the command line explains itself."""

import re

import click
import pytest

from recloser.cli import main, status_of

HELP_COLUMNS = 80


def commands(command=main, path=()):
    """Every command below a group, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


COMMANDS = list(commands())
IDS = [" ".join(path) or "recloser" for path, _ in COMMANDS]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_command_has_a_help_text_and_a_short_one(path, command):
    first = command.help.partition("\n")[0]
    assert re.fullmatch(r"[A-Z][^\n]{15,}\.", first), first
    if path:
        assert command.short_help.endswith(".")
        assert len(command.short_help) <= HELP_COLUMNS


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_every_option_has_a_help_text(path, command):
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert re.fullmatch(r"[A-Z][\s\S]{10,}[.}]", parameter.help or ""), parameter.opts


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_every_argument_is_named_in_the_help_text_of_its_command(path, command):
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = parameter.make_metavar(click.Context(command)).strip("[].")
            assert re.search(rf"\b{name}\b", f"{command.help} {group_of(path).help}"), name


def group_of(path):
    return dict(COMMANDS)[path[:-1]]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_help_is_printed_with_status_0(capsys, path, command):
    assert status_of([*path, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Usage: recloser")
    assert "\b" not in printed
