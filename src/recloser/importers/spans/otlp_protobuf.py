"""Spans of OTLP in protobuf, converted to JSON.

A file is one message, or has each message after its length.
"""

import io
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Final

import msgspec

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import LineBatch, Unreadable

_MAX_MESSAGE: Final = 1 << 25
# The tags and lengths of two fields: a trace's id of 16 bytes, then a span's id of 8.
_IDS: Final = re.compile(rb"\x0a\x10.{16}\x12\x08", re.DOTALL)
_FIRST_TAG: Final = b"\x0a"
_LENGTH_BYTES: Final = 4


def is_protobuf(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is OTLP in protobuf."""
    start = head[:1]
    if start == b"\x00":
        start = head[_LENGTH_BYTES : _LENGTH_BYTES + 1]
    return start == _FIRST_TAG and _IDS.search(head) is not None


def span_values_of_protobuf(name: str, stream: io.BufferedReader) -> Iterator[LineBatch]:
    """Yield the messages of a file, each as JSON.

    Raises:
        ImportTraceError: ``opentelemetry-proto`` is not installed.
    """
    try:
        json_format = import_module("google.protobuf.json_format")
        broken = import_module("google.protobuf.message").DecodeError
        traces = import_module("opentelemetry.proto.trace.v1.trace_pb2").TracesData
    except ImportError as error:
        raise ImportTraceError(
            f"{name}: OTLP in protobuf needs opentelemetry-proto: pip install 'recloser[otlp]'; or "
            "have the collector's file exporter write format: json"
        ) from error
    for number, data in enumerate(_messages(stream), 1):
        if data is None:
            why = f"the message is longer than {_MAX_MESSAGE:,} bytes"
        else:
            try:
                message = json_format.MessageToDict(traces.FromString(data))
                yield LineBatch(name, number, [msgspec.json.encode(message).decode()])
                continue
            except (broken, ValueError, RecursionError) as error:
                why = f"it is not a message of OTLP, or it is cut: {error}"
        yield LineBatch(name, number, [], unreadable=[Unreadable(number, why, name)])


def _messages(stream: io.BufferedReader) -> Iterator[bytes | None]:
    """Yield the messages; None for one that is too long, after which reading ends."""
    if stream.peek(1)[:1] == _FIRST_TAG:
        data = stream.read(_MAX_MESSAGE + 1)
        yield data if len(data) <= _MAX_MESSAGE else None
        return
    while prefix := stream.read(_LENGTH_BYTES):
        size = int.from_bytes(prefix, "big")
        if size > _MAX_MESSAGE:
            yield None
            return
        yield stream.read(size)
