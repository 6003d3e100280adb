"""The limits of a log add up: lines of accepted values keep within what a reader takes."""

import pytest

from recloser.limits import (
    LABEL_BYTES,
    LABEL_CHARS,
    label,
    wire_bytes,
)


@pytest.mark.parametrize("character", ["x", "\x01", "é", "\U0001f600", "\\", "\ud800", "\u2028"])
def test_a_label_is_cut_to_its_characters_and_to_its_bytes_in_a_line(character):
    cut = label(character * 100_000)
    assert len(cut) <= LABEL_CHARS or "\\ud800" in cut
    assert LABEL_BYTES // 8 < wire_bytes(cut) <= LABEL_BYTES


def test_a_short_label_stays_as_it_is():
    assert label("TimeoutError") == "TimeoutError"
    assert label("é" * 300) == "é" * 300


def test_a_label_of_a_subclass_of_str_is_an_exact_str():
    class Markup(str):
        __slots__ = ()

    assert type(label(Markup("x"))) is str
    assert type(label(Markup("é"))) is str


def test_what_utf_8_can_not_encode_is_shown_escaped():
    assert label("a\udcff") == "a\\udcff"
