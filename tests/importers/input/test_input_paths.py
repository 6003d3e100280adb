"""Folders, patterns and rotated pieces are expanded to files, the oldest piece of a log first."""

import random

import pytest

from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.input.input_paths import input_files


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
def test_pieces_of_a_rotated_log_are_ordered_by_age(tmp_path, names):
    touched(tmp_path, *names)
    expected = [str(tmp_path / name) for name in names]
    assert input_files([str(tmp_path)]) == expected
    shuffled = random.Random(5).sample(expected, len(expected))
    logs = [name.partition(".log")[0] for name in names]
    if len(set(logs)) == 1:
        assert input_files(shuffled) == expected


def test_several_logs_stay_in_the_given_order(tmp_path):
    touched(tmp_path, "b.log", "b.log.1", "a.log")
    given = [str(tmp_path / name) for name in ("b.log", "a.log", "b.log.1")]
    assert input_files(["-", *given]) == ["-", given[2], given[0], given[1]]


def test_pattern_is_expanded_unless_a_file_has_that_name(tmp_path):
    touched(tmp_path, "a.log", "a.log.1", "c/b.log", "[x].log", ".hidden.log")
    found = input_files([str(tmp_path / "*.lo*")])
    assert found == [str(tmp_path / name) for name in ("[x].log", "a.log.1", "a.log")]
    assert input_files([str(tmp_path / "**" / "b.log")]) == [str(tmp_path / "c/b.log")]
    assert input_files([str(tmp_path / "[x].log")]) == [str(tmp_path / "[x].log")]


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    touched(tmp_path, ".git/config", "a.log", "b/.swp")
    assert input_files([str(tmp_path)]) == [str(tmp_path / "a.log")]


@pytest.mark.parametrize(
    ("names", "path", "why"),
    [
        ([], "", "this folder holds no file to import"),
        ([], "*.log", r"no file matches '.*\*\.log'"),
        (
            ["a.log.1", "a.log.1.gz"],
            "",
            r"a\.log\.1\.gz are the same piece of a log; name one of them",
        ),
    ],
)
def test_path_without_files_or_with_a_duplicate_piece_is_refused(tmp_path, names, path, why):
    touched(tmp_path, *names)
    with pytest.raises(ImportTraceError, match=why):
        input_files([str(tmp_path / path)])


def test_folder_is_imported(capsys, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    for number, name in enumerate(["a.csv", "a.csv.1"]):
        (folder / name).write_text(f"start_s,target,status\n17{number},a,200\n")
    assert status_of(["import", str(folder), "-o", str(tmp_path / "log")]) == 0
    assert "read 2 lines: 2 calls" in capsys.readouterr().out
