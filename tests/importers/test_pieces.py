"""Folders, patterns and rotated pieces become files, the oldest piece of a log first."""

import random

import pytest

from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.pieces import files_of


def touched(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")


@pytest.mark.parametrize(
    "names",
    [
        ["access.log.10.gz", "access.log.2.gz", "access.log.1", "access.log"],
        ["access.log-20240229.gz", "access.log-20240301", "access.log"],
        ["app.log.2024-02-29", "app.log.2024-03-01.zst", "app.log"],
        ["0.log.20240301-101010.gz", "0.log.20240301-111010", "0.log"],
        ["app-1709200000.log", "b.log"],
        ["a/x.log.1", "a/x.log", "b/x.log.1", "b/x.log"],
        ["access.log-20240229.gz", "access.log.2", "access.log.1"],
    ],
)
def test_pieces_of_a_log_come_in_their_order(tmp_path, names):
    touched(tmp_path, *names)
    expected = [str(tmp_path / name) for name in names]
    assert files_of([str(tmp_path)]) == expected
    shuffled = random.Random(5).sample(expected, len(expected))
    logs = [name.partition(".log")[0] for name in names]
    if len(set(logs)) == 1:
        assert files_of(shuffled) == expected


def test_several_logs_keep_the_order_that_they_are_given_in(tmp_path):
    touched(tmp_path, "b.log", "b.log.1", "a.log")
    given = [str(tmp_path / name) for name in ("b.log", "a.log", "b.log.1")]
    assert files_of(["-", *given]) == ["-", given[2], given[0], given[1]]


def test_a_pattern_is_matched_if_no_file_is_called_so(tmp_path):
    touched(tmp_path, "a.log", "a.log.1", "c/b.log", "[x].log", ".hidden.log")
    found = files_of([str(tmp_path / "*.lo*")])
    assert found == [str(tmp_path / name) for name in ("[x].log", "a.log.1", "a.log")]
    assert files_of([str(tmp_path / "**" / "b.log")]) == [str(tmp_path / "c/b.log")]
    assert files_of([str(tmp_path / "[x].log")]) == [str(tmp_path / "[x].log")]


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    touched(tmp_path, ".git/config", "a.log", "b/.swp")
    assert files_of([str(tmp_path)]) == [str(tmp_path / "a.log")]


@pytest.mark.parametrize(
    ("names", "path", "why"),
    [
        ([], "", "there is no file in this folder"),
        ([], "*.log", r"no file matches '.*\*\.log'"),
        (["a.log.1", "a.log.1.gz"], "", r"a\.log\.1\.gz are the same piece of a log: name one"),
    ],
)
def test_what_gives_no_files_or_one_twice_is_refused(tmp_path, names, path, why):
    touched(tmp_path, *names)
    with pytest.raises(ImportTraceError, match=why):
        files_of([str(tmp_path / path)])


def test_a_folder_is_imported(capsys, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    for number, name in enumerate(["a.csv", "a.csv.1"]):
        (folder / name).write_text(f"start_s,target,status\n17{number},a,200\n")
    assert status_of(["import", str(folder), "-o", str(tmp_path / "log")]) == 0
    assert "read 2 lines: 2 calls" in capsys.readouterr().out
