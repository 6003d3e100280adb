"""Reading any file ends with an exit status and one line of text, in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from breaker_calls import fail, succeed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_files import read_lines, resealed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock, RecloserError
from recloser.cli import status_of

if not Path("/proc/self/status").exists():
    pytest.skip("this platform has no /proc to measure a peak of memory", allow_module_level=True)

MEASURED = """
import sys
from recloser.cli import status_of
status = status_of(sys.argv[1:])
status_lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status, status_lines["VmHWM"].split()[0])
"""
LIMIT_KIB = 200 * 1024


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The lines of a small intact log."""
    path = tmp_path_factory.mktemp("whole") / "log"
    clock = ManualClock()
    with EventLog(path, clock=clock, durability="memory") as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=2), log=log)
        fail(breaker, 2)
        breaker.before_call()
        clock.advance(seconds=30)
        succeed(breaker, 2)
    return read_lines(path / "000000000001.jsonl")


def header(lines):
    return lines[0]


def sparse(path, lines):
    """A line of 1 GB after a header, in a file that uses no space on the disk."""
    with path.open("wb") as stream:
        stream.write(header(lines))
        stream.truncate(1 << 30)


def headless(path, lines):
    with path.open("wb") as stream:
        stream.truncate(1 << 30)


def bomb(path, lines):
    """Two gigabytes of zeros, compressed to about 60 KB."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as stream:
        stream.write(compressor.compress(header(lines)))
        for _ in range(2048):
            stream.write(compressor.compress(bytes(1 << 20)))
        stream.write(compressor.flush())


def no_seal(path, lines):
    """Half a million whole events without a seal."""
    line = b'{"event":"clock_ticked","seq":2,"at":0,"wall":"2026-01-01T00:00:00Z","monotonic":0}\n'
    with path.open("wb") as stream:
        stream.write(header(lines))
        for _ in range(50):
            stream.write(line * 10_000)


@pytest.mark.parametrize("make", [sparse, headless, bomb, no_seal])
@pytest.mark.parametrize("command", ["replay", "verify"])
def test_huge_file_is_refused_in_little_memory(tmp_path, lines, make, command):
    path = tmp_path / f"hostile.jsonl{'.zst' if make is bomb else ''}"
    make(path, lines)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, command, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    status, peak_kib = map(int, done.stdout.split()[-2:])
    assert status in (2, 3)
    assert "Traceback" not in done.stderr
    assert path.name in done.stderr
    assert peak_kib < LIMIT_KIB


@pytest.mark.parametrize(
    ("added", "status"),
    [
        (b"[" * 1_000_000 + b"\n", 3),
        (b'{"event":' * 100_000 + b"\n", 3),
        (b"\x00" * 500 + b"\n", 3),
        ("{'event'}\n".encode("utf-16"), 3),
        (b'{"event":"reset","seq":2,"at":0,"breaker":"caf\xe9"}\n', 3),
        (b'{"event":"reset","seq":1,"at":0,"breaker":"b"}\n', 3),
        (b'{"event":"reset","seq":9,"at":0,"breaker":"b"}\n', 3),
        (b'{"event":"log_sealed"}\n', 3),
        (b'{"event":"log_sealed","event":"reset","seq":2,"at":0,"breaker":"b"}\n', 3),
        (b'{"event":"reset","seq":2,"at":0,"breaker":"b"}\n', 1),
        (b'{"event":"log_gap","seq":9223372036854775807,"at":0,"lost":0}\n', 3),
        (b'{"event":"log_gap","seq":2,"at":9223372036854775807,"lost":0}\n', 3),
        (b'{"event":"log_gap","seq":1152921504606846975,"at":0,"lost":0}\n', 0),
        (b'{"event":"log_gap","seq":2,"at":6917529027641081855,"lost":0}\n', 0),
    ],
    ids=range(14),
)
def test_unexpected_line_is_reported_in_one_line(capsys, tmp_path, lines, added, status):
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(header(lines) + added)
    assert status_of(["replay", str(path)]) == status
    err = capsys.readouterr().err
    assert len(err) < 1000
    if status == 3:
        assert err.count("\n") == 1
        assert "event" in err


mutations = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(1, 255)),
        st.tuples(st.just("drop"), st.integers(0, 100), st.just(0)),
        st.tuples(st.just("twice"), st.integers(0, 100), st.just(0)),
        st.tuples(st.just("swap"), st.integers(0, 100), st.integers(0, 100)),
        st.tuples(st.just("number"), st.integers(0, 100), st.integers(0, 2**70)),
        st.tuples(st.just("text"), st.integers(0, 100), st.text(max_size=20)),
    ),
    min_size=1,
    max_size=4,
)


def mutated(lines, changes):
    lines = list(lines)
    for kind, where, what in changes:
        n = where % len(lines)
        if kind == "flip":
            line = bytearray(lines[n])
            line[where % len(line)] ^= what
            lines[n] = bytes(line)
        elif kind == "drop" and len(lines) > 1:
            del lines[n]
        elif kind == "twice":
            lines.insert(n, lines[n])
        elif kind == "swap":
            m = what % len(lines)
            lines[n], lines[m] = lines[m], lines[n]
        elif kind in ("number", "text"):
            lines[n] = _with_value(lines[n], where, what)
    return lines


def _with_value(line, where, value):
    """Replace one value of an event by another."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or not event:
        return line
    event[list(event)[where % len(event)]] = value
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations, good_seals=st.booleans())
def test_mutated_log_gives_a_status_and_no_traceback(capsys, tmp_path, lines, changes, good_seals):
    """Also if the seals are made to match, so that only the events are wrong."""
    changed = mutated(lines, changes)
    data = b"".join(changed)
    if good_seals:
        try:
            data = resealed(changed)
        except (RecloserError, ValueError):  # a line that is no event can't be sealed again
            data = b"".join(changed)
    path = tmp_path / "mutated.jsonl"
    path.write_bytes(data)
    for command in ("replay", "verify", "why"):
        assert status_of([command, str(path)]) in range(6)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert len(captured.err) < 4000
