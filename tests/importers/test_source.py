"""Traces are read plain or compressed, whatever their name."""

import gzip
import io

import pytest
import zstandard

from recloser.errors import ImportTraceError
from recloser.importers.source import open_text

TEXT = "a,b\n1,ü\n" * 1000
PACK = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "frames": lambda data: zstandard.compress(data[:100]) + zstandard.compress(data[100:]),
    "bom": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.mark.parametrize("form", PACK)
def test_compression_is_told_by_the_first_bytes(tmp_path, form):
    path = tmp_path / "trace"
    path.write_bytes(PACK[form](TEXT.encode()))
    with open_text(str(path)) as text:
        assert text.read() == TEXT


def test_bytes_that_are_no_utf_8_are_shown(tmp_path):
    path = tmp_path / "trace"
    path.write_bytes(b"caf\xe9\n")
    with open_text(str(path)) as text:
        assert text.read() == "caf\\xe9\n"


def test_a_missing_file_is_named(tmp_path):
    with (
        pytest.raises(ImportTraceError, match="absent: No such file"),
        open_text(str(tmp_path / "absent")),
    ):
        pass


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_data_that_is_cut_is_told_so(tmp_path, pack):
    path = tmp_path / "trace"
    path.write_bytes(pack(TEXT.encode())[:-9])
    with (
        pytest.raises(ImportTraceError, match="trace: the compressed data is broken"),
        open_text(str(path)) as text,
    ):
        text.read()


def test_an_empty_file_is_an_empty_text(tmp_path):
    path = tmp_path / "trace"
    path.touch()
    with open_text(str(path)) as text:
        assert isinstance(text, io.TextIOBase)
        assert text.read() == ""
