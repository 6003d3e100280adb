"""A file that is written, renamed or removed is on disk when the call returns."""

import errno
import os

import pytest

from recloser.log import disk


@pytest.fixture
def calls(monkeypatch):
    """The syncs, in order."""
    made = []
    sync, sync_folder = disk.sync, disk.sync_folder
    monkeypatch.setattr(disk, "sync", lambda fd: made.append("file") or sync(fd))
    monkeypatch.setattr(disk, "sync_folder", lambda f: made.append(f) or sync_folder(f))
    return made


def test_new_file_is_synced(tmp_path, calls):
    disk.write_new(tmp_path / "a", [b"one", b"", b"two"])
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    assert calls == ["file"]


def test_new_file_that_cannot_be_written_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "write", refuse)
    with pytest.raises(OSError, match="No space"):
        disk.write_new(tmp_path / "a", [b"one"])
    assert list(tmp_path.iterdir()) == []


def test_new_file_replaces_a_link_instead_of_following_it(tmp_path):
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / "a").symlink_to("other")
    disk.write_new(tmp_path / "a", [b"new"])
    assert (tmp_path / "other").read_bytes() == b"precious"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_renaming_and_removing_sync_the_folder(tmp_path, calls):
    (tmp_path / "a").write_bytes(b"1")
    disk.rename(tmp_path / "a", tmp_path / "b")
    disk.name_also(tmp_path / "b", tmp_path / "c")
    disk.remove(tmp_path / "b")
    assert calls == [tmp_path] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_file_is_copied_when_links_are_not_supported(tmp_path, monkeypatch, calls):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"1")
    disk.name_also(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"1"
    assert calls == ["file", tmp_path]
    with pytest.raises(FileExistsError):
        disk.name_also(tmp_path / "a", tmp_path / "b")


def test_created_folders_are_returned_for_syncing(tmp_path, calls):
    names = disk.make_folder(tmp_path / "a" / "b")
    assert names == [tmp_path, tmp_path / "a"]
    assert disk.make_folder(tmp_path / "a" / "b") == [tmp_path / "a"]
    with pytest.raises(FileExistsError):
        disk.make_folder(tmp_path / "a", may_exist=False)
    disk.sync_names(names)
    assert names == []
    assert calls == [tmp_path / "a", tmp_path]


def test_folders_that_could_not_be_synced_stay_in_the_list(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    names = [tmp_path]
    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_folder", refuse)
        with pytest.raises(OSError, match="Input/output"):
            disk.sync_names(names)
    assert names == [tmp_path]
    disk.sync_names(names)
    assert names == []


def test_syncing_a_missing_file_does_nothing(tmp_path, calls):
    disk.sync_file(tmp_path / "gone")
    assert calls == []
