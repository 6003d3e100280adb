"""Lines of any format with a damaged value: an import ends with a status and clear messages."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_support import zone_of

from recloser.cli import status_of
from recloser.importers.formats.format_description import all_formats

CONCRETE = [each for each in all_formats() if not each.is_abstract]
VALUES = [None, True, -1, 0, 10**30, 1.5, "", "-", "x", "502, 200", "a : b", [], [1], {}, {"a": 1}, "\x00", "9" * 400]  # fmt: skip
TEXTS = ["", "-", "x", "502, 200", "a : b", "0", "-1", "9" * 400, '"', "\\", "\t", "1.5", "[", "\x1b[2J"]  # fmt: skip


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from leaves(inner, (*path, key))


def with_value(line, where, what):
    """Replace a value in a line of JSON."""
    value = json.loads(line)
    paths = list(leaves(value))
    *path, last = paths[where % len(paths)]
    at = value
    for key in path:
        at = at[key]
    at[last] = what
    return json.dumps(value)


def with_word(line, where, what):
    """Replace a word in a line of text."""
    between = "\t" if "\t" in line else "," if line.count(",") > line.count(" ") else " "
    words = line.split(between)
    words[where % len(words)] = what
    return between.join(words)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    description=st.sampled_from(CONCRETE),
    changes=st.lists(
        st.tuples(
            st.integers(0, 10), st.integers(0, 40), st.sampled_from(VALUES), st.sampled_from(TEXTS)
        ),
        min_size=1,
        max_size=4,
    ),
    is_named=st.booleans(),
)
def test_changed_sample_ends_with_a_status_and_no_traceback(
    capsys, tmp_path_factory, description, changes, is_named
):
    lines = description.sample.strip().splitlines()
    for line, where, value, text in changes:
        at = line % len(lines)
        try:
            lines[at] = with_value(lines[at], where, value)
        except (ValueError, AttributeError, ZeroDivisionError):
            lines[at] = with_word(lines[at], where, text)
    folder = tmp_path_factory.mktemp("changed")
    path, log = folder / "trace", folder / "log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    options = [
        "--breaker",
        description.breaker or "b",
        *(["--format", description.name] if is_named else []),
    ]
    status = status_of(["import", str(path), "-o", str(log), *options, "--unknown", "ignored"])
    captured = capsys.readouterr()
    assert status in (0, 2, 3)
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err + captured.out
    assert (status == 2) == (not log.exists())


@pytest.mark.parametrize("description", CONCRETE, ids=[each.name for each in CONCRETE])
def test_unchanged_samples_are_imported(capsys, tmp_path, description):
    (tmp_path / "trace").write_text(description.sample.lstrip())
    options = ["--breaker", description.breaker or "b", *zone_of(description)]
    status = status_of(["import", str(tmp_path / "trace"), "-o", str(tmp_path / "log"), *options])
    assert (status, capsys.readouterr().err) == (0, "")
