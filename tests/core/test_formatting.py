"""Text for people: escaped names, durations, and numbers with their nouns."""

import pytest

from recloser.core.formatting import duration, printable, quantity


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("payments -> ünïcode 支付 🙂", "payments -> ünïcode 支付 🙂"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("line\u2028end\ufeff", "line\\u2028end\\ufeff"),
        ("lone \ud800", "lone \\ud800"),
        ("[bold]x[/]", "[bold]x[/]"),
    ],
)
def test_characters_that_steer_a_terminal_are_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_500, "1.500 us"),
        (2_000_000, "2.000 ms"),
        (59_999_000_000, "59.999 s"),
        (61_000_000_000, "1 min 01 s"),
        (7_322_000_000_000, "2 h 02 min 02 s"),
    ],
)
def test_duration_is_formatted_in_the_unit_that_fits(ns, text):
    assert duration(ns) == text


def test_quantity_uses_the_plural_except_for_one():
    assert quantity(1, "call") == "1 call"
    assert quantity(1024, "call") == "1,024 calls"
    assert quantity(2, "witness", "witnesses") == "2 witnesses"
