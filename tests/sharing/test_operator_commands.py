"""The last commands of operators: kept by breaker and kind, and restored when a stream lost them."""

import pytest

from recloser.core.events import ForcedClosed, ForcedOpen, ModeChanged, Reset
from recloser.sharing.operator_commands import OperatorCommands

OPEN, RESET = ForcedOpen(0, 0, "b", "ann", "works"), Reset(0, 0, "b")
SHADOW = ModeChanged(0, 0, "b", "shadow")


@pytest.fixture
def commands():
    return OperatorCommands()


def test_last_move_and_last_mode_are_kept_in_their_order(commands):
    commands.note(OPEN, (1, 0))
    commands.note(SHADOW, (2, 0))
    commands.note(RESET, (3, 0))
    assert commands.of("b") == [SHADOW, RESET]


def test_saved_commands_are_read_back(commands):
    commands.note(OPEN, (1, 0))
    commands.note(SHADOW, (2, 0))
    assert OperatorCommands(commands.saved()).saved() == commands.saved()


def test_command_is_newest_only_before_it_or_a_newer_one_is_noted(commands):
    commands.note(RESET, (3, 0))
    assert not commands.is_newest(RESET, (3, 0))
    assert not commands.is_newest(OPEN, (2, 0))
    assert commands.is_newest(OPEN, (4, 0))
    assert commands.is_newest(SHADOW, (1, 0))


def test_commands_missing_from_another_stream_are_returned_oldest_first(commands):
    commands.note(SHADOW, (1, 0))
    commands.note(OPEN, (2, 0))
    other = OperatorCommands()
    assert commands.missing_from(other) == [(SHADOW, (1, 0)), (OPEN, (2, 0))]
    other.note(ForcedClosed(0, 0, "b"), (5, 0))
    assert commands.missing_from(other) == [(SHADOW, (1, 0))]
