"""A folder that can't be used as a log gives one error that names the place and a remedy."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from recloser import CircuitBreaker, EventLog, LogError
from recloser.live import log_folder
from recloser.log import disk


def refusing(number):
    def refuse(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "give this process the right to write there"),
        (errno.EPERM, "give this process the right to write there"),
        (errno.EROFS, "choose a folder that can be written"),
        (errno.ENOSPC, "free space there"),
        (errno.EDQUOT, "free space there"),
        (errno.EMFILE, "raise its limit"),
        (errno.ENOLCK, "choose a local disk"),
        (errno.EOPNOTSUPP, "choose a local disk"),
        (errno.EIO, "choose a folder on a disk that works"),
        (errno.ESTALE, "choose a folder on a disk that works"),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Path, "mkdir"),
        (fcntl, "flock"),
        (disk, "open_lock"),
        (log_folder, "tidy"),
        (log_folder, "recover"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_open_error_names_the_place_and_a_remedy(
    tmp_path, monkeypatch, owner, name, number, remedy
):
    path = tmp_path / "log"
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, refusing(number))
        with pytest.raises(LogError) as raised:
            EventLog(path)
    text = str(raised.value)
    assert text.startswith(f"{path}")
    assert os.strerror(number) in text
    assert remedy in text
    assert "\n" not in text
    assert isinstance(raised.value.__cause__, OSError)
    EventLog(path).close()  # it is not left locked


@pytest.mark.parametrize("below", ["", "/below", "/far/below"])
def test_file_in_place_of_the_folder_is_an_error(tmp_path, below):
    (tmp_path / "log").write_text("x")
    with pytest.raises(LogError, match="a file is in its place; move it away"):
        EventLog(f"{tmp_path}/log{below}")


def test_name_that_is_too_long_is_an_error(tmp_path):
    with pytest.raises(LogError, match="the name is too long; choose a shorter one"):
        EventLog(tmp_path / ("long" * 100))


def test_links_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(LogError, match="one"):
        EventLog(tmp_path / "one" / "log")


@pytest.mark.parametrize("name", ["lock", "000000000001.jsonl", "000000000001.jsonl.zst"])
def test_folder_in_place_of_a_file_of_the_log_is_an_error(tmp_path, name):
    (tmp_path / "log" / name).mkdir(parents=True)
    with pytest.raises(LogError, match=str(tmp_path / "log")):
        EventLog(tmp_path / "log", on_damage="raise")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may do anything")
def test_folder_of_another_user_is_an_error(tmp_path):
    with EventLog(tmp_path / "log") as log:
        CircuitBreaker("b", log=log)
    (tmp_path / "log" / "lock").chmod(0)
    with pytest.raises(LogError, match="give this process the right to write there"):
        EventLog(tmp_path / "log")


def test_lock_file_that_cannot_be_written_is_closed(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(LogError, match="File too large"):
            EventLog(tmp_path / "log")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    EventLog(tmp_path / "log").close()
