"""What stands around lines is found by looking, and taken away line by line."""

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.stages import Lines
from recloser.importers.unwrapping import (
    WRAPPINGS,
    Unwrapping,
    wrappings_in,
    wrappings_named,
)

WRAPPED = {
    "cri": "2021-09-15T16:13:47.123456789Z stdout F {}",
    "docker-json": '{{"log":"{}\\n","stream":"stdout","time":"2021-09-15T16:13:47.1Z"}}',
    "syslog": "<34>Sep  5 16:13:46 web nginx[2869]: {}",
}


def unwrapped(lines, names):
    unwrapping = Unwrapping(wrappings_named(names))
    (batch,) = unwrapping([Lines("f", 1, list(lines))])
    return batch.texts, dict(unwrapping.counts)


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_wrapping_is_found_and_taken_away(name):
    line = WRAPPED[name].format("GET / 200")
    assert [wrapping.name for wrapping in wrappings_in([line])] == [name]
    assert unwrapped([line, "as it is", None], [name]) == (
        ["GET / 200", "as it is", None],
        {name: 1},
    )


def test_several_wrappings_may_be_around_a_line_or_in_a_file():
    both = WRAPPED["cri"].format(WRAPPED["docker-json"].format("x"))
    assert {wrapping.name for wrapping in wrappings_in([both])} == {"cri", "docker-json"}
    lines = [both, WRAPPED["syslog"].format("y")]
    assert unwrapped(lines, ["docker-json", "syslog", "cri"])[0] == ["x", "y"]


def test_lines_that_a_runtime_cut_are_put_together_and_numbers_stay():
    cri = ["2021-09-15T16:13:47Z stdout P ab", "2021-09-15T16:13:47Z stdout P cd", "2021-09-15T16:13:47Z stdout F ef"]  # fmt: skip
    assert unwrapped(cri, ["cri"])[0] == ["", "", "abcdef"]
    docker = ['{"log":"ab","stream":"stdout","time":""}', '{"log":"cd\\r\\n","stream":"stdout","time":""}']  # fmt: skip
    assert unwrapped(docker, ["docker-json"])[0] == ["", "abcd"]


def test_a_line_that_is_put_together_without_end_is_given_up():
    part = "2021-09-15T16:13:47Z stdout P " + "x" * 400_000
    texts, _ = unwrapped([part] * 4 + ["2021-09-15T16:13:47Z stdout F y"], ["cri"])
    assert texts == ["", "", None, "", "x" * 400_000 + "y"]


def test_other_json_with_a_log_is_not_dockers():
    assert wrappings_in(['{"log":5,"stream":"stdout"}', '{"log":"x"}', "x"]) == []


def test_a_wrapping_that_is_not_known_is_refused_with_those_there_are():
    with pytest.raises(ImportTraceError, match="no wrapping 'zip'; there are cri, docker-json"):
        wrappings_named(["zip"])
