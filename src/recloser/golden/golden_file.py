"""Read and write golden files, which hold the expected history of a trace.

The golden file ``NAME.golden.json`` is in the same folder as its trace, which is a folder of segments
called ``NAME`` or a file called ``NAME.jsonl``. Its layout makes changes easy to review in a pull
request. It is a JSON object with these members, in this order:

* ``schema``: ``recloser.golden/1``.
* ``driven_with``, if the trace is imported traffic: the settings of the breakers that it drives.
* ``configured``, if live breakers wrote the trace: each configuration, as its line in the log.
* ``totals``: how many calls of each breaker ended in which way.
* ``digest``: the digest of the history, see ``recloser.History.digest``.
* ``edges``: each edge with its cause, as its line in the log. The edges are grouped by breaker, whose
  names are sorted by code points.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import msgspec

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import BreakerConfigured, Event, StateChanged
from recloser.core.snapshot import Totals
from recloser.errors import DamagedLogError, FutureVersionError, GoldenError
from recloser.history.summary import HistorySummary, settings_data
from recloser.log import disk
from recloser.log.codec import decode, encode

GOLDEN_SUFFIX: Final = ".golden.json"
GOLDEN_VERSION: Final = 1

_SCHEMA: Final = "recloser.golden/"
_E = TypeVar("_E", bound=Event)


class _Header(msgspec.Struct):
    schema: str


class _Totals(msgspec.Struct, forbid_unknown_fields=True):
    succeeded: int
    failed: int
    ignored: int
    rejected: int
    stale: int


class _Golden(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    totals: dict[str, _Totals]
    digest: str
    edges: list[msgspec.Raw]
    driven_with: dict[str, Any] | None = None
    configured: list[msgspec.Raw] = []


def read_golden(path: Path) -> HistorySummary:
    """Read a golden file.

    Raises:
        GoldenError: The file can't be read or is damaged.
        FutureVersionError: A later version of recloser wrote the file.
    """
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=_Header).schema
        _check_schema(path, schema)
        return _summary_of(msgspec.json.decode(data, type=_Golden))
    except OSError as error:
        raise GoldenError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError, GoldenError, DamagedLogError) as error:
        raise GoldenError(
            f"{path}: this is not a complete golden file: {error}; restore it, or delete it and write "
            "a new one with `recloser golden update`"
        ) from error


def write_golden(path: Path, summary: HistorySummary) -> None:
    """Write a golden file atomically: a crash leaves the old file or the new one.

    Raises:
        GoldenError: The file can't be written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        disk.write_new(partial, [golden_bytes(summary)], mode=0o666)
        disk.rename(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise GoldenError(f"{path}: {error.strerror}") from error


def golden_bytes(summary: HistorySummary) -> bytes:
    """The content of a golden file; equal summaries give equal bytes."""
    members = [("schema", f'"{_SCHEMA}{GOLDEN_VERSION}"')]
    if summary.driven_with is not None:
        members.append(("driven_with", _object(summary.driven_with)))
    else:
        members.append(("configured", _lines(summary.configured)))
    totals = {name: attrs.asdict(total) for name, total in summary.totals.items()}
    members += [
        ("totals", _object(totals)),
        ("digest", f'"{summary.digest}"'),
        ("edges", _lines(summary.edges)),
    ]
    body = ",\n".join(f'  "{name}": {value}' for name, value in members)
    return f"{{\n{body}\n}}\n".encode()


def _object(mapping: Mapping[str, object]) -> str:
    rows = [f"    {_json(name)}: {_json(value)}" for name, value in mapping.items()]
    return "{\n" + ",\n".join(rows) + "\n  }" if rows else "{}"


def _lines(events: Iterable[Event]) -> str:
    rows = [f"    {encode(event).decode().rstrip()}" for event in events]
    return "[\n" + ",\n".join(rows) + "\n  ]" if rows else "[]"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _check_schema(path: Path, schema: str) -> None:
    version = re.fullmatch(rf"{re.escape(_SCHEMA)}([1-9]\d*)", schema)
    if version is None:
        raise GoldenError(f"its schema is {schema!r}, not {_SCHEMA}{GOLDEN_VERSION}")
    if int(version[1]) > GOLDEN_VERSION:
        raise FutureVersionError(
            f"{path}: this golden file has version {version[1]}; this library reads up to "
            f"{GOLDEN_VERSION}: upgrade recloser"
        )


def _summary_of(golden: _Golden) -> HistorySummary:
    driven_with = golden.driven_with
    if driven_with is not None:
        # A setting that did not exist when the file was written gets its default value.
        driven_with = settings_data(CircuitBreakerConfig.from_mapping(driven_with))
    return HistorySummary(
        driven_with=driven_with,
        configured=_events(golden.configured, BreakerConfigured),
        edges=_events(golden.edges, StateChanged),
        totals={
            name: Totals(**msgspec.structs.asdict(total)) for name, total in golden.totals.items()
        },
        digest=golden.digest,
    )


def _events(lines: Sequence[msgspec.Raw], kind: type[_E]) -> list[_E]:
    events: list[_E] = []
    for line in lines:
        event = decode(bytes(line))
        if not isinstance(event, kind):
            raise GoldenError(f"event {event.seq} ({event.kind}) does not belong there")
        events.append(event)
    return events
