"""``recloser docs``: the documentation in the terminal."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from docs.pages import FOLDER
from recloser.cli import main


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main, ["docs", *arguments])


def test_docs_lists_every_topic_with_its_title(run):
    result = run()
    assert result.exit_code == 0
    for page in FOLDER.glob("*.md"):
        assert f"\n{page.stem} " in f"\n{result.output}"
    assert "Replay a production trace" in result.output


def test_docs_prints_the_markdown_of_a_topic_in_a_pipe(run):
    result = run("why")
    assert result.exit_code == 0
    assert result.output == (FOLDER / "why.md").read_text(encoding="utf-8")


def test_docs_formats_a_topic_on_a_terminal():
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "recloser", "docs", "exit-codes"]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, "COLUMNS": "80"}) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read_from(ours), b"")).decode()
    assert process.returncode == 0
    assert "Exit status" in shown
    assert "# Exit status" not in shown
    assert "<!--" not in shown


def read_from(terminal):
    """The next bytes of a terminal; none when nothing writes to it any more."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


@pytest.mark.parametrize("topic", ["log-format", "log-format.md", "Log_Format", "log format"])
def test_topic_may_be_written_in_several_ways(run, topic):
    assert run(topic).output == (FOLDER / "log-format.md").read_text(encoding="utf-8")


def test_unknown_topic_is_refused_with_near_matches(run):
    result = run("determinsm")
    assert result.exit_code == 2
    assert "there is no topic 'determinsm': did you mean determinism?" in result.output


def test_unknown_topic_without_near_matches_names_the_list(run):
    result = run("zzzz")
    assert result.exit_code == 2
    assert "recloser docs lists the topics" in result.output


def test_docs_as_json(run):
    listed = json.loads(run("--json").output)
    assert listed["schema"] == "recloser.docs/1"
    assert {"topic": "why", "title": "Explain why a breaker opened"} in listed["topics"]
    assert json.loads(run("why", "--json").output)["topic"] == "why"
