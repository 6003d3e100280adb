"""Hostile traces: an import ends with a status and clear messages, in little memory."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_support import zone_of

from recloser.cli import status_of
from recloser.importers.formats.format_description import all_formats

if not Path("/proc/self/status").exists():
    pytest.skip("this platform has no /proc, which has the peak of memory", allow_module_level=True)

MEASURED = """
import sys
from recloser.cli import status_of
from recloser.importers.formats.format_description import all_formats
status = status_of(sys.argv[1:])
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status, fields["VmHWM"].split()[0])
"""
LIMIT_KIB = 200 * 1024  # less than a line

CSV = ("csv", "--breaker", "{b}", "--start", "start_ns", "--outcome", "o", "--failure", "fail")
IMPORTERS = [
    CSV,
    ("access-log", "--breaker", "{host}"),
    ("access-log", "--breaker", "{target}", "--format", "envoy"),
    ("access-log", "--breaker", "{target}", "--format", "json"),
    ("otlp",),
    ("jaeger",),
    ("zipkin",),
    ("resilience4j",),
    ("resilience4j", "--events"),
    *[("--breaker", "b")] * 4,
]
REGEX = r"(?P<target>\w+) (?P<start_s>\d+) (?P<status>\d+)"


def sparse(path):
    """One line of 300 MB that needs no room on the disk."""
    with path.open("wb") as stream:
        stream.truncate(300 << 20)


def bomb(path):
    """A gigabyte of zeros in about 30 KB."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as stream:
        for _ in range(1024):
            stream.write(compressor.compress(bytes(1 << 20)))
        stream.write(compressor.flush())


def endless_array(path):
    """An array on one line with a value that never ends."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'[{"start_ms":1,"service":"a","status":"')
        for _ in range(300):
            stream.write(b"a" * (1 << 20))


def nested_without_end(path):
    """A document of 300 MB that only opens objects."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b"{\n")
        for _ in range(300):
            stream.write(b'"a":{'.ljust(1 << 10) * (1 << 10))


def endless_string(path):
    """A document whose first element never ends."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'{\n"resourceSpans": [\n{"x": "')
        for _ in range(300):
            stream.write(b"a" * (1 << 20))


def dense(path):
    """Sixteen megabytes with five million values."""
    path.write_text(
        '{"resourceSpans":[{"scopeSpans":[{"spans":[' + "{}," * 5_000_000 + "{}]}]}]}\n"
    )


def dense_lists(path):
    """Three megabytes of empty lists, twice, after the key of a span."""
    path.write_text(('[{"traceId":"1","localEndpoint":' + "[]," * 1_000_000 + "[]}]\n") * 2)


@pytest.mark.parametrize(
    ("make", "importer"),
    [
        (dense, ("otlp",)),
        (dense, IMPORTERS[-1]),
        (dense_lists, IMPORTERS[-1]),
        (sparse, CSV),
        (bomb, IMPORTERS[1]),
        (bomb, IMPORTERS[-1]),
        (sparse, IMPORTERS[-1]),
        (sparse, ("otlp",)),
        (endless_string, ("otlp",)),
        (endless_array, IMPORTERS[-1]),
        (endless_array, ("--breaker", "b", "--records", "a.b")),
        (nested_without_end, IMPORTERS[-1]),
        (nested_without_end, ("--breaker", "b", "--records", "a.b")),
    ],
    ids=["dense-otlp", "dense-any", "dense-lists",
         "sparse-csv", "bomb-access-log", "bomb-any", "sparse-any", "sparse-otlp", "endless-otlp",
         "endless-array", "endless-array-at-path", "nested", "nested-at-path"],
)  # fmt: skip
def test_oversized_file_is_refused_in_little_memory(tmp_path, make, importer):
    path = tmp_path / "hostile"
    make(path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "import", *importer, path, "-o", tmp_path / "log"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status, peak_kib = map(int, done.stdout.split()[-2:])
    assert status == 2
    assert "Traceback" not in done.stderr
    assert peak_kib < LIMIT_KIB
    assert not (tmp_path / "log").exists()


GOOD = {
    "csv": b"start_ns,b,o\n5,x,ok\n7,y,fail\n",
    "access-log": b'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "a"\n',
    "envoy": b'[2026-01-01T00:00:00.250Z] "GET /p HTTP/1.1" 503 UO 0 1 2 3 "-" "c" "i" "b" "u"\n',
    "json": b'{"start_time":"2026-01-01T00:00:00Z","response_code":503,"authority":"b"}\n',
    "otlp": json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [
        {"spans": [{"kind": 3, "startTimeUnixNano": "5", "endTimeUnixNano": "7", "attributes": [
            {"key": "peer.service", "value": {"stringValue": "x"}}]}]}]}]}).encode() + b"\n",
    "jaeger": json.dumps({"data": [{"spans": [{"startTime": 5, "duration": 7, "processID": "p",
        "tags": [{"key": "span.kind", "value": "client"}, {"key": "peer.service", "value": "x"}],
        }], "processes": {"p": {"serviceName": "s"}}}]}).encode() + b"\n",
    "zipkin": json.dumps([{"kind": "CLIENT", "timestamp": 5, "duration": 7, "remoteEndpoint": {
        "serviceName": "x"}}]).encode() + b"\n",
    "resilience4j": b"2024-02-25T14:52:20.7+09:00[Asia/Seoul]: CircuitBreaker 'a' recorded an error: "
        b"'x.Y: z'. Elapsed time: 3 ms\n",
    "resilience4j-events": json.dumps({"circuitBreakerEvents": [{"circuitBreakerName": "a",
        "type": "ERROR", "creationTime": "2024-02-25T14:52:20Z", "durationInMs": 3}]}).encode(),
    "any-text": b'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "a"\n',
    "any-json": b'{"ts":1711741798.04,"request":{"host":"b","uri":"/"},"duration":0.78,"status":503}\n',
    "any-csv": b"start_ns,b,outcome\n5,x,ok\n7,y,fail\n",
    "any-docker": b'{"log":"x - - [17/May/2015:10:05:03 +0000] \\"GET\\" 200 5\\n","stream":"stdout"}\n',
}  # fmt: skip
CLF = GOOD["any-text"].decode()
OBJECT = {
    "start_ms": 5,
    "duration_ms": 7,
    "service": "b",
    "status": 503,
    "t": [{"k": "a", "v": "b"}],
}
MORE = {
    "regex": (b"a 17 503\nb 18 200\n", ("--regex", REGEX)),
    "where": (b"start_s,target,status\n17,a,503\n18,b,200\n", ("--where", "status == '503'")),
    "path": (json.dumps({"log": {"n": 1, "entries": [OBJECT] * 3}}).encode(), ("--records", "log.entries")),
    "expression": (json.dumps(OBJECT).encode() + b"\n", ("--breaker", "{t[?k=='a'].v | [0]}")),
    "array": (json.dumps([OBJECT] * 3).encode(), ()),
    "pretty": (json.dumps([OBJECT] * 3, indent=2).encode(), ()),
    "spaces": (b"start_s   target  status\n17        a       503\n", ()),
    "decimal-comma": (b"start_s;duration_ms;target;status\n17,5;0,25;a;503\n", ()),
    "zone": (b"start,target,status\n9/15/2021 4:13:46 PM,a,503\n", ("--zone", "Europe/Berlin")),
    "no-header": (b"17,a,503\n18,b,200\n", ("--header", "start_s,target,status")),
    **{
        f"within {name}": (line.format(CLF[:-1] if "json" not in name else json.dumps(CLF)[1:-3]).encode() + b"\n",
                           ("--breaker", "{host}"))
        for name, line in {
            "journald-json": '{{"MESSAGE":"{}","__REALTIME_TIMESTAMP":"5","_HOSTNAME":"w"}}',
            "syslog5424": '<34>1 2021-09-15T16:13:47Z w n 28 - [a@1 b="c"] {}',
            "kubectl": "[pod/w/n] 2021-09-15T16:13:47.123456789Z {}",
            "compose": "web-1  | {}",
            "field-json": '{{"@timestamp":"x","message":"{}"}}',
        }.items()
    },
    **{
        each.name: (each.sample.lstrip().encode(), ("--breaker", each.breaker or "b", *zone_of(each)))
        for each in all_formats()
        if not each.is_abstract
    },
}  # fmt: skip
ALL = [*zip(GOOD.values(), IMPORTERS, strict=True), *MORE.values()]
NAMES = [*GOOD, *MORE]

changes = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(1, 255)),
        st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(0)),
        st.tuples(st.just("twice"), st.integers(0, 10**6), st.integers(1, 50)),
        st.tuples(
            st.just("insert"),
            st.integers(0, 10**6),
            st.sampled_from(
                [b"\x00", b"\n", b"\r", b'"', b"{", b"[", b"}", b"]", b",", b"null", b"-1", b"1e999",
                 b"9" * 30, b"\\ud800", b"\xff", b"[" * 5000, b"true", b'""', b"\xe2\x80\xae", b"\x1b[2J"]
            ),
        ),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def changed(data, changes):
    data = bytearray(data * 2)
    for kind, where, what in changes:
        at = where % len(data) if data else 0
        if kind == "flip" and data:
            data[at] ^= what
        elif kind == "cut" and len(data) > 1:
            del data[at:]
        elif kind == "twice":
            data[at:at] = data[at : at + what]
        elif kind == "insert":
            data[at:at] = what
    return bytes(data)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(ALL), how=changes)
def test_mutated_trace_ends_with_a_status_and_no_traceback(capsys, tmp_path_factory, which, how):
    """A log that is written can be replayed and explained."""
    data, importer = which
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "trace").write_bytes(changed(data, how))
    log = folder / "log"
    status = status_of(["import", *importer, str(folder / "trace"), "-o", str(log)])
    captured = capsys.readouterr()
    assert status in (0, 2, 3)
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err
    assert (status == 2) == (not log.exists())
    if log.exists():
        assert status_of(["whatif", str(log)]) == 0
        capsys.readouterr()


@pytest.mark.parametrize(("data", "importer"), ALL, ids=NAMES)
def test_unmutated_traces_are_imported(capsys, tmp_path, data, importer):
    (tmp_path / "trace").write_bytes(data)
    log = tmp_path / "log"
    assert status_of(["import", *importer, str(tmp_path / "trace"), "-o", str(log)]) == 0
