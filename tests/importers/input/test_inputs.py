"""Lines of files are whole and numbered, in any encoding and compression."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import struct
import tarfile
import zipfile

import pytest
import zstandard

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import MAX_LINE_CHARS
from recloser.importers.input.inputs import Inputs, text_lines_of

TEXT = "".join(f"{number},ü\n" for number in range(20_000))
LINES = TEXT.splitlines()


def tarred(data, name="logs/a.log"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


class Unseekable(io.BytesIO):
    """A pipe for writing a zip file, in which sizes follow the members."""

    def seek(self, *_):
        raise OSError("it is a pipe")

    def tell(self):
        raise OSError("it is a pipe")


def zipped(data, packed=None):
    packed = packed or io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logs/", b"")
        archive.writestr("logs/a.log", data)
    return packed.getvalue()


COMPRESS = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
}
PACK = {
    "plain": lambda data: data,
    **COMPRESS,
    "two gzip members": lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:]),
    "two zstd frames": lambda data: zstandard.compress(data[:999]) + zstandard.compress(data[999:]),
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda data: gzip.compress(tarred(data)),
    "gz in zip": lambda data: zipped(gzip.compress(data)),
}


def read(path):
    inputs = Inputs([str(path)])
    batches = list(inputs.lines())
    texts = [text for batch in batches for text in batch.texts]
    if batches:
        assert batches[0].first == 1
    for before, batch in itertools.pairwise(batches):
        is_same = batch.source == before.source
        assert batch.first == (before.first + len(before.texts) if is_same else 1)
    return texts, {batch.source for batch in batches}, inputs.cuts


@pytest.mark.parametrize("form", PACK)
def test_compression_is_detected_by_the_first_bytes(tmp_path, form):
    path = tmp_path / "trace"
    path.write_bytes(PACK[form](TEXT.encode()))
    texts, sources, cuts = read(path)
    assert texts == LINES
    is_archive = form in ("zip", "tar", "tar.gz", "gz in zip")
    assert sources == {f"{path}/logs/a.log" if is_archive else str(path)}
    assert cuts == {}


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8 bom", "utf-16 bom", "utf-16-be bom", "utf-16-le", "utf-16-be", "crlf"],
)
def test_encoding_is_detected_by_the_first_bytes(tmp_path, data):
    (tmp_path / "trace").write_bytes(data)
    assert read(tmp_path / "trace")[0] == LINES


@pytest.mark.parametrize("form", COMPRESS)
def test_data_before_a_cut_is_imported_and_the_cut_is_reported(tmp_path, form):
    path = tmp_path / "trace"
    lines = "".join(f"{number * 7919 % 1_000_003}\n" for number in range(60_000))
    packed = COMPRESS[form](lines.encode())
    path.write_bytes(packed[: len(packed) * 3 // 4])
    texts, _, cuts = read(path)
    assert len(texts) > 1000
    assert texts[:-1] == lines.splitlines()[: len(texts) - 1]
    assert cuts == {str(path): "it is cut: the compressed data ends too early"}


def test_data_before_the_cut_of_an_archive_is_imported(tmp_path):
    path = tmp_path / "trace.tar"
    path.write_bytes(tarred(TEXT.encode())[:100_000])
    texts, _, cuts = read(path)
    assert texts[:-1] == LINES[: len(texts) - 1]
    assert len(texts) > 1000
    assert f"{path}/logs/a.log" in cuts


@pytest.mark.parametrize("make", [io.BytesIO, Unseekable], ids=["file", "pipe"])
@pytest.mark.parametrize("left", [0.5, -30, -100])
def test_zip_without_its_list_of_contents_is_read_by_member_headers(tmp_path, make, left):
    path = tmp_path / "trace.zip"
    many = "".join(f"{number * 7919 % 1_000_003}\n" for number in range(60_000))
    packed = zipped(many.encode(), make())
    path.write_bytes(packed[: int(len(packed) * left) if left > 0 else left])
    texts, sources, cuts = read(path)
    assert texts[:-1] == many.splitlines()[: len(texts) - 1]
    assert sources == {f"{path}/logs/a.log"}
    if left > 0:
        assert 10_000 < len(texts) < 60_000
        assert "it is cut" in cuts[f"{path}/logs/a.log"]
    else:
        assert len(texts) == 60_000
        is_listed = left == -30
        assert cuts == {} if is_listed else {str(path): cuts.get(str(path))}


def test_zip_is_read_from_a_pipe(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, zipped(b"a\n" * 900, Unseekable()))
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        texts, sources, cuts = read("-")
    assert (texts, sources, cuts) == (["a"] * 900, {"-/logs/a.log"}, {})


@pytest.mark.parametrize(
    ("flags", "method", "why"), [(1, 8, "needs a password"), (0, 99, "cannot be unpacked"), (8, 0, "cannot be")]
)  # fmt: skip
def test_zip_member_of_unknown_size_is_refused(tmp_path, flags, method, why):
    header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, flags, method, 0, 0, 0, 5, 5, 1, 0)
    (tmp_path / "trace").write_bytes(header + b"xhello")
    with pytest.raises(ImportTraceError, match=why):
        read(tmp_path / "trace")


def test_stored_zip_member_is_read_by_its_header(tmp_path):
    header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 6, 6, 1, 0)
    (tmp_path / "trace").write_bytes(header + b"xhello\n" + header + b"yhel")
    texts, _, cuts = read(tmp_path / "trace")
    assert texts == ["hello", "hel"]
    assert list(cuts) == [f"{tmp_path}/trace/y", f"{tmp_path}/trace"]


def test_file_that_cannot_be_unpacked_at_all_is_refused(tmp_path):
    path = tmp_path / "trace"
    path.write_bytes(b"\x1f\x8bthis is no gzip")
    with pytest.raises(ImportTraceError, match="trace: the compressed data is broken"):
        read(path)
    path.write_bytes(zipped(TEXT.encode())[:90])
    with pytest.raises(ImportTraceError, match=r"trace/logs/a.log: it is cut"):
        read(path)


def test_file_packed_too_many_times_is_refused(tmp_path):
    data = TEXT.encode()
    for _ in range(6):
        data = gzip.compress(data)
    (tmp_path / "trace").write_bytes(data)
    with pytest.raises(ImportTraceError, match="packed more than 4 times"):
        read(tmp_path / "trace")


def test_bytes_other_than_utf_8_are_escaped(tmp_path):
    (tmp_path / "trace").write_bytes(b"caf\xe9\nb")
    assert read(tmp_path / "trace")[0] == ["caf\\xe9", "b"]


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(ImportTraceError, match="absent: No such file"):
        read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "lines"), [("", []), ("a", ["a"]), ("a\n", ["a"]), ("\n\na", ["", "", "a"])]
)
def test_last_line_needs_no_line_end(text, lines):
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    assert [line for batch in text_lines_of("x", stream) for line in batch.texts] == lines


@pytest.mark.parametrize("length", [MAX_LINE_CHARS + 1, 5 * MAX_LINE_CHARS])
@pytest.mark.parametrize("end", ["", "\n", "\nb\n"])
def test_too_long_line_is_left_out_and_numbers_stay_right(length, end):
    stream = io.BufferedReader(io.BytesIO(b"a\n" + b"x" * length + end.encode()))
    got = [line for batch in text_lines_of("x", stream) for line in batch.texts]
    assert got == ["a", None, *(["b"] if "b" in end else [])]


def test_line_of_the_maximum_length_is_read():
    stream = io.BufferedReader(io.BytesIO(b"x" * MAX_LINE_CHARS + b"\nb"))
    got = [line for batch in text_lines_of("x", stream) for line in batch.texts]
    assert got == ["x" * MAX_LINE_CHARS, "b"]
