"""How fast traces are imported, compared with ``wc -l`` and the CSV reader of pyarrow.

The rates are of whole imports, from the file to the log: read, understood, put in order and written.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from bench.effort import Effort
from bench.results import Group
from bench.timing import Work, interleaved_rates, timed
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.trace_import import TraceImport

LINES: Final = "lines (spans of OTLP) a second"
WC: Final = "wc -l of the CSV"
PYARROW: Final = "pyarrow's CSV reader"

_SEED: Final = 7
_START_S: Final = 1_767_225_600
_SPANS_A_LINE: Final = 100
_TARGETS: Final = 40


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure the lines per second for each kind of trace."""
    works = []
    for kind, (write, breaker) in KINDS.items():
        file = folder / f"trace-{kind.replace(' ', '-')}"
        write(file, effort.imported)
        work = partial(timed, partial(imported, file, breaker))
        works.append(Work(name_of(kind), effort.imported, work))
    table = str(folder / "trace-CSV")
    missing = {}
    if wc := shutil.which("wc"):
        counted = partial(subprocess.run, [wc, "-l", table], check=True, capture_output=True)
        works.append(Work(WC, effort.imported, partial(timed, counted)))
    else:
        missing[WC] = "there is no wc"
    if find_spec("pyarrow") is None:
        missing[PYARROW] = "pyarrow is not installed: pip install 'recloser[parquet]'"
    else:
        from pyarrow import csv

        works.append(Work(PYARROW, effort.imported, partial(timed, lambda: csv.read_csv(table))))
    series = interleaved_rates(works, effort)
    reference = PYARROW if PYARROW not in missing else series[0].name
    yield Group("importing", "Import of traces", LINES, reference, series, missing)


def name_of(kind: str) -> str:
    """The name of the series of one kind of trace."""
    return f"recloser, {kind}"


_numbers: Final = count()


def imported(file: Path, breaker: str) -> int:
    """Import a file as ``recloser import FILE`` does, and return how many calls it holds.

    Args:
        file: The trace.
        breaker: The template of the names of the breakers.
    """
    log = file.with_name(f"{file.name}-{next(_numbers)}")
    request = ImportRequest(options=CallOptions(breaker=breaker))
    summary = TraceImport(Inputs([str(file)]), request).write(log)
    shutil.rmtree(log)
    return summary.calls


def _combined(file: Path, lines: int) -> None:
    random = Random(_SEED)
    with file.open("w") as out:
        for number in range(lines):
            second = number // 500 % 86_400
            clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            out.write(
                f"192.0.2.{number % _TARGETS} - - [01/Jan/2026:{clock} +0000] "
                f'"GET /cart/{random.randrange(10**6)}?page=2 HTTP/1.1" {_status(random)} '
                f'{random.randrange(10**5)} "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)"\n'
            )


def _delimited(file: Path, lines: int) -> None:
    random = Random(_SEED)
    with file.open("w") as out:
        out.write("caller,target,start_unix_nano,duration_ms,status\n")
        for number in range(lines):
            start = _START_S * 10**9 + number * 1_000_000 + random.randrange(10**6)
            took = random.randrange(10**6) / 1000
            out.write(f"web,bank-{number % _TARGETS},{start},{took},{_status(random)}\n")


def _json_lines(file: Path, lines: int) -> None:
    random = Random(_SEED)
    with file.open("w") as out:
        for number in range(lines):
            line = {
                "ts": _START_S + number / 1000,
                "level": "info",
                "msg": "handled request",
                "request": {
                    "method": "GET",
                    "host": f"bank-{number % _TARGETS}",
                    "uri": f"/pay/{random.randrange(10**6)}",
                    "headers": {"User-Agent": ["curl/8"], "Accept": ["*/*"]},
                },
                "duration": random.randrange(10**6) / 10**6,
                "status": _status(random),
            }
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def _otlp(file: Path, spans: int) -> None:
    random = Random(_SEED)
    with file.open("w") as out:
        for first in range(0, spans, _SPANS_A_LINE):
            numbers = range(first, min(first + _SPANS_A_LINE, spans))
            resource = {"attributes": _pairs({"service.name": "web", "host.name": "web-7d9"})}
            scope = {"scope": {"name": "http"}, "spans": [_span(n, random) for n in numbers]}
            line = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def _span(number: int, random: Random) -> dict[str, object]:
    """A span: half of them are of clients."""
    start = _START_S * 10**9 + number * 1_000_000
    status = _status(random)
    return {
        "traceId": f"{random.getrandbits(128):032x}",
        "spanId": f"{random.getrandbits(64):016x}",
        "parentSpanId": f"{random.getrandbits(64):016x}",
        "flags": 256,
        "name": "GET",
        "kind": random.choice((3, 3, 2, 1)),
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + random.randrange(10**8)),
        "attributes": _pairs(
            {
                "http.request.method": "GET",
                "server.address": f"bank-{number % _TARGETS}",
                "server.port": 443,
                "url.full": f"https://bank-{number % _TARGETS}/pay/{number}",
                "http.response.status_code": status,
                "network.protocol.version": "1.1",
            }
        ),
        "status": {"code": 2} if status >= 500 else {},  # as clients set it
    }


def _pairs(values: dict[str, str | int]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]  # fmt: skip


def _status(random: Random) -> int:
    return 503 if random.random() < 0.02 else 200  # one in fifty


KINDS: Final[dict[str, tuple[Callable[[Path, int], None], str]]] = {
    "combined": (_combined, "{host}"),
    "CSV": (_delimited, "{caller}->{target}"),
    "JSON lines": (_json_lines, "{target}"),
    "OTLP JSON": (_otlp, "{caller}->{target}"),
}
"""The traces by name: what writes one of a given length, and the template of breaker names."""
