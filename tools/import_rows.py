"""Files that people try to import first, with the calls in them counted by hand.

The lines are modelled on those of the named tools; hosts and ids are invented.
"""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any, Final

import zstandard
from attrs import frozen

_T: Final = 1_767_225_600


@frozen(kw_only=True)
class Row:
    """A file, and the first command that a user tries with it.

    Attributes:
        name: A short name for the row.
        what: What the file is, for the table.
        data: The bytes of the file.
        file: The name of the file.
        options: The options of the command.
        succeeded: How many calls in it succeeded.
        failed: How many calls in it failed.
        ignored: How many calls are ignored, or of unknown outcome.
        says: The beginning of the error if the file is refused; None if it is imported.
    """

    name: str
    what: str
    data: bytes
    file: str = "trace.log"
    options: tuple[str, ...] = ()
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    says: str | None = None


def _row(name: str, what: str, text: str | bytes, counts: tuple[int, int, int], **more: Any) -> Row:
    data = text if isinstance(text, bytes) else text.encode()
    succeeded, failed, ignored = counts
    return Row(
        name=name, what=what, data=data, succeeded=succeeded, failed=failed, ignored=ignored, **more
    )


def _lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


_ISTIO: Final = (
    '[2026-01-01T00:00:00.250Z] "GET /pay HTTP/1.1" 200 - via_upstream - "-" 0 154 12 11 "-" "curl" '
    '"cc21d9b0" "bank.shop.example" "192.0.2.1:80" outbound|80||bank.shop.svc.cluster.local '
    "192.0.2.9:5000 192.0.2.8:80 192.0.2.7:4000 - default\n"
    '[2026-01-01T00:00:01.250Z] "GET /pay HTTP/1.1" 503 UC upstream_reset_before_response_started{x} '
    '- "-" 0 95 7 - "-" "curl" "cc21d9b1" "bank.shop.example" "192.0.2.1:80" '
    "outbound|80||bank.shop.svc.cluster.local 192.0.2.9:5000 192.0.2.8:80 192.0.2.7:4000 - default\n"
)
_COMBINED: Final = (
    '192.0.2.7 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8"\n'
    '192.0.2.7 - - [01/Jan/2026:00:00:01 +0000] "GET /pay?id=1 HTTP/1.1" 502 157 "-" "curl/8"\n'
    '192.0.2.8 - - [01/Jan/2026:00:00:02 +0000] "GET /pay HTTP/1.1" 499 0 "-" "curl/8"\n'
)
_COUNTS: Final = (1, 1, 1)


def _docker(text: str) -> str:
    return _lines(*({"log": line + "\n", "stream": "stdout", "time": "2026-01-01T00:00:02Z"}
                    for line in text.splitlines()))  # fmt: skip


def _before(prefix: str, text: str) -> str:
    return "".join(prefix + line + "\n" for line in text.splitlines())


def _span(number: int, kind: object = 3, status: object = None, **attributes: str | int) -> Any:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"{number:016x}", "name": "GET",
        "kind": kind, "startTimeUnixNano": f"{_T}000000000", "endTimeUnixNano": f"{_T}007000001",
        "status": {} if status is None else {"code": status},
        "attributes": [
            {"key": key.replace("__", "."), "value": {"stringValue": value} if isinstance(value, str)
             else {"intValue": str(value)}}
            for key, value in attributes.items()
        ],
    }  # fmt: skip


def _resource(service: str, *spans: Any) -> Any:
    attributes = [{"key": "service.name", "value": {"stringValue": service}}]
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": list(spans)}]}


_GOOD: Final = _span(1, server__address="bank", http__response__status_code=200)
_BAD: Final = _span(2, status=2, server__address="bank", http__response__status_code=503)
_WEB: Final = _resource("web", _GOOD, _BAD)
_NAMED: Final = [
    _resource(
        "web", _span(1, "SPAN_KIND_CLIENT", "STATUS_CODE_ERROR"), _span(2, "SPAN_KIND_CLIENT")
    ),
    _resource(
        "bank",
        {**_span(3, "SPAN_KIND_SERVER"), "parentSpanId": f"{1:016x}"},
        {**_span(4, "SPAN_KIND_SERVER"), "parentSpanId": f"{2:016x}"},
    ),
]


def _field(number: int, data: bytes) -> bytes:
    """A field of protobuf that holds bytes, text or a message."""
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128])
    return bytes([number * 8 + 2]) + length + data


def _text_pair(key: str, value: str) -> bytes:
    return _field(1, key.encode()) + _field(2, _field(1, value.encode()))


def _span_message(number: int, status: int) -> bytes:
    start = _T * 10**9
    times = b"\x39" + start.to_bytes(8, "little") + b"\x41" + (start + 5).to_bytes(8, "little")
    ids = _field(1, bytes(range(16))) + _field(2, number.to_bytes(8, "big"))
    target = _field(9, _text_pair("server.address", "bank"))
    return (
        ids + _field(5, b"GET") + b"\x30\x03" + times + target + _field(15, bytes([0x18, status]))
    )


def _protobuf() -> bytes:
    """A message after its length, as the collector's file exporter writes it."""
    spans = b"".join(_field(2, _span_message(number, number)) for number in (1, 2))
    resource = _field(1, _field(1, _text_pair("service.name", "web")))
    message = _field(1, resource + _field(2, spans))
    return len(message).to_bytes(4, "big") + message


def _tag(key: str, value: object) -> Any:
    return {"key": key, "type": "string", "value": value}


_JAEGER: Final = [
    {
        "traceID": "1", "spanID": str(number), "operationName": "GET", "startTime": _T * 1_000_000,
        "duration": 5000, "processID": "p1",
        "tags": [_tag("span.kind", "client"), _tag("peer.service", "bank"), _tag("http.status_code", code)],
    }
    for number, code in ((1, "200"), (2, "503"))
]  # fmt: skip
_ONE_TRACE: Final = {"traceID": "1", "spans": _JAEGER, "processes": {"p1": {"serviceName": "web"}}}
_STORED: Final = [{**span, "process": {"serviceName": "web", "tags": []}} for span in _JAEGER]


def _zipkin(number: int, **more: Any) -> Any:
    return {
        "traceId": "1", "id": str(number), "kind": "CLIENT", "timestamp": _T * 1_000_000,
        "duration": 5000, "localEndpoint": {"serviceName": "web"}, **more,
    }  # fmt: skip


_SHARED: Final = [
    _zipkin(1),
    _zipkin(2, tags={"grpc.status_code": "UNAVAILABLE"}),
    *({"traceId": "1", "id": id_, "kind": "SERVER", "shared": True,
       "localEndpoint": {"serviceName": "bank"}} for id_ in ("1", "2")),
]  # fmt: skip
_EVENT: Final = (
    "2026-01-01T00:00:00.859564400+03:00: CircuitBreaker 'bank' recorded an error: "
    "'java.lang.RuntimeException: x'. Elapsed time: 5 ms"
)
_R4J: Final = (
    f"{_EVENT}\n00:00:00.875 [main] DEBUG i.g.r.c.i.CircuitBreakerStateMachine - Event ERROR published: "
    f"{_EVENT}\n"
    + _EVENT.replace("an error: 'java.lang.RuntimeException: x'", "a successful call")
    + "\n"
)
_CSV: Final = "service,start_ms,duration_ms,status\n" + "".join(
    f"bank,{_T + n}000,5,{status}\n" for n, status in enumerate((200, 200, 503))
)


def _zip(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


_PACKED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gz": gzip.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: _zip("access.log", data),
    "tar.gz": lambda data: _tar("access.log", data),
}

_HOST: Final = ("--breaker", "{host}")

ROWS: Final = (
    _row("istio-text", "Istio's default text, since 1.9", _ISTIO, (1, 1, 0)),
    _row("istio-cri", "the same after a CRI prefix", _before("2026-01-01T00:00:02.1Z stdout F ", _ISTIO), (1, 1, 0)),
    _row("istio-docker", "the same inside Docker's JSON", _docker(_ISTIO), (1, 1, 0)),
    _row("combined", "nginx or Apache combined", _COMBINED, _COUNTS, options=_HOST),
    _row("combined-syslog", "the same after a syslog prefix", _before("<190>Jan  1 00:00:02 web1 nginx: ", _COMBINED), _COUNTS, options=_HOST),
    _row("request-time", "nginx combined with the request time", "".join(
        f"{line} {took}\n" for line, took in zip(_COMBINED.splitlines(), ("0.005", "1.886", "0.100"), strict=True)),
        _COUNTS, options=_HOST),
    _row("own-log-format", "an operator's own log_format of nginx", "".join(
        f"{_T + n}.250|shop.example|GET /pay HTTP/1.1|{status}|0.005\n" for n, status in enumerate((200, 502))),
        (1, 1, 0), options=("--log-format", "$msec|$host|$request|$status|$request_time", *_HOST)),
    _row("caddy", "Caddy's JSON", _lines(*({
        "ts": _T + n, "request": {"method": "GET", "host": "shop.example", "uri": "/"}, "duration": 0.78,
        "status": status} for n, status in enumerate((200, 502)))), (1, 1, 0)),
    _row("tempo-1", "Tempo's API, version 1", json.dumps({"batches": [_WEB]}, indent=2), (1, 1, 0)),
    _row("tempo-2", "Tempo's API, version 2", json.dumps({"trace": {"resourceSpans": [_WEB]}}), (1, 1, 0)),
    _row("otlp", "OTLP JSON, as the collector writes it", _lines({"resourceSpans": [_WEB]}), (1, 1, 0)),
    _row("otlp-names", "OTLP JSON with enum names, targets only in the server's span",
         _lines({"resourceSpans": _NAMED}), (1, 1, 0)),
    _row("otlp-logger", "OTLP JSON after a Java logger's prefix",
         "Jan 01, 2026 12:00:00 AM io.opentelemetry.exporter.logging.otlp.OtlpJsonLogging export\n"
         f"INFO: {json.dumps(_WEB)}\n", (1, 1, 0)),
    _row("otlp-protobuf", "OTLP protobuf, as the collector writes it", _protobuf(), (1, 1, 0)),
    _row("otlp-twice", "OTLP JSON in which every span occurs twice", _lines({"resourceSpans": [_WEB]}) * 2, (1, 1, 0)),
    _row("jaeger", "Jaeger's API", json.dumps({"data": [_ONE_TRACE], "total": 0}), (1, 1, 0)),
    _row("jaeger-one", "one trace of Jaeger's interface, indented", json.dumps(_ONE_TRACE, indent=2), (1, 1, 0)),
    _row("jaeger-es", "Jaeger's documents in Elasticsearch", _lines(*({"_source": span} for span in _STORED)), (1, 1, 0)),
    _row("zipkin", "Zipkin with shared spans and a status of gRPC", json.dumps(_SHARED), (1, 1, 0)),
    _row("zipkin-unfinished", "Zipkin with a half of the durations missing",
         json.dumps([_zipkin(1, remoteEndpoint={"serviceName": "bank"}),
                     _zipkin(2, remoteEndpoint={"serviceName": "bank"}, duration=None)]), (0, 0, 0),
         says="the outcome of 1 of 2 calls is unknown: no rule names these values of grpc, http, status"),
    _row("skywalking", "SkyWalking's query service", json.dumps({"data": {"trace": {"spans": [
        {"traceId": "1", "segmentId": "a", "spanId": n, "parentSpanId": -1, "refs": [], "serviceCode": "web",
         "startTime": _T * 1000, "endTime": _T * 1000 + 5, "endpointName": "/pay", "type": "Exit",
         "peer": "bank:80", "isError": is_error, "tags": [], "logs": []}
        for n, is_error in enumerate((False, True))]}}}), (1, 1, 0)),
    _row("resilience4j", "resilience4j's events beside its own debug lines", _R4J, (1, 1, 0)),
    _row("csv", "CSV with usual names of columns", _CSV, (2, 1, 0)),
    _row("csv-utf16", "the same in UTF-16", _CSV.encode("utf-16"), (2, 1, 0)),
    _row("csv-semicolon", "the same with semicolons", _CSV.replace(",", ";"), (2, 1, 0)),
    *(_row(f"packed-{suffix}", f"combined in {suffix}", pack(_COMBINED.encode()), _COUNTS,
           options=_HOST, file=f"access.log.{suffix}") for suffix, pack in _PACKED.items()),
    _row("packed-cut", "combined in a gz that is cut", gzip.compress((_COMBINED * 50).encode())[:-4],
         (50, 50, 50), options=_HOST, file="access.log.gz"),
    _row("no-breaker", "combined without --breaker", _COMBINED, (0, 0, 0),
         says="the format does not say which service a call goes to: name its breaker with --breaker '{field}'"),
)  # fmt: skip
"""The rows of the table."""
