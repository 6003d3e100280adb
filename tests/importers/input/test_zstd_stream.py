"""Zstd data in a stream, in one frame or several."""

import io

import pytest
import zstandard

from recloser.importers.input.zstd_stream import ZstdStream

DATA = "a,b\n1,ü\n".encode() * 1000


def decompressed(data):
    return io.BufferedReader(ZstdStream(io.BufferedReader(io.BytesIO(data)))).read()


def test_consecutive_zstd_frames_are_one_stream():
    assert decompressed(zstandard.compress(DATA)) == DATA
    assert decompressed(zstandard.compress(DATA[:99]) + zstandard.compress(DATA[99:])) == DATA
    assert decompressed(b"") == b""


def test_cut_zstd_frame_raises_an_error():
    with pytest.raises(EOFError, match="the last frame is cut"):
        decompressed(zstandard.compress(DATA)[:-9])
