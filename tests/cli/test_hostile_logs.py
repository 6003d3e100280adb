"""Every command on logs with absurd numbers: a status, one line, little memory and time."""

import subprocess
import sys
from pathlib import Path

import hostile_logs
import pytest
import zstandard

from recloser.cli import status_of

if not Path("/proc/self/status").exists():
    pytest.skip(
        "this platform has no /proc to read the peak of memory from", allow_module_level=True
    )

MEASURED = """
import resource, sys
from recloser.cli import status_of
status = status_of(sys.argv[1:])
sys.stdout.flush()
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
own, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
seconds = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
print()
print(status, max(int(fields["VmHWM"].split()[0]), others.ru_maxrss), seconds)
"""
MOST_KIB = 200 * 1024
MOST_SECONDS = 5

COMMANDS = {
    "replay": ["replay", "{log}"],
    "replay --json": ["replay", "--json", "{log}"],
    "replay --prove": ["replay", "--prove", "{log}"],
    "verify": ["verify", "{log}"],
    "why": ["why", "{log}"],
    "why --whole": ["why", "--whole", "{log}"],
    "why --at": ["why", "--at", "+1h", "{log}"],
    "report": ["report", "{log}", "-o", "{folder}/page.html"],
    "whatif": ["whatif", "{log}", "--set", "failure_threshold=3"],
    "tune": ["tune", "{log}", "--budget", "5"],
    "golden update": ["golden", "update", "{log}"],
    "diff": ["diff", "{log}", "{log}"],
    "export": ["export", "{log}", "{folder}/log.parquet"],
    "repair": ["repair", "{log}", "-o", "{folder}/repaired"],
    "watch": ["watch", "--once", "{log}"],
}

MEASURED_LOGS = [
    "2^31 - 1 calls in a window of as many",
    "10^9 calls in a time window",
    "two centuries between calls",
    "a checkpoint of a large window",
]
"""For these logs every command runs in a process of its own; for the others, in this process."""


def arguments(command, events, folder):
    log = folder / "log"
    log.mkdir()
    hostile_logs.write(log / "000000000001.jsonl", events)
    return [argument.format(log=log, folder=folder) for argument in COMMANDS[command]]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "repair"])
@pytest.mark.parametrize("name", hostile_logs.REFUSED)
def test_log_with_an_overlong_line_is_refused(tmp_path, capsys, name, command):
    """``repair`` keeps everything before the line."""
    status = status_of(arguments(command, hostile_logs.REFUSED[name], tmp_path))
    err = capsys.readouterr().err
    assert status in (2, 3)
    assert "Traceback" not in err
    assert err.count("\n") == 1 or command == "verify"  # which has a line for each damage
    assert len(err) < 2000


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "name", [name for name in hostile_logs.ACCEPTED if name not in MEASURED_LOGS]
)
def test_a_log_of_absurd_numbers_ends_with_a_status(tmp_path, capsys, name, command):
    status = status_of(arguments(command, hostile_logs.ACCEPTED[name], tmp_path))
    err = capsys.readouterr().err
    assert status in (0, 1, 2, 3)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2
    assert len(err) < 2000


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", MEASURED_LOGS)
def test_a_log_of_absurd_numbers_takes_little_memory_and_time(tmp_path, name, command):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MEASURED,
            *arguments(command, hostile_logs.ACCEPTED[name], tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    status, peak_kib, seconds = done.stdout.split()[-3:]
    assert int(status) in (0, 1, 2, 3)
    assert int(peak_kib) < MOST_KIB
    assert float(seconds) < MOST_SECONDS
    assert "Traceback" not in done.stderr
    if int(status) > 1:
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["replay", "verify", "why"])
def test_compressed_data_that_asks_for_much_memory_is_refused(tmp_path, capsys, command):
    log = tmp_path / "log"
    log.mkdir()
    plain = hostile_logs.write(log / "x", [hostile_logs.opened(), hostile_logs.configured()])
    wide = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = compressor.compress(plain.read_bytes()) + compressor.flush()
    plain.unlink()
    (log / "000000000001.jsonl.zst").write_bytes(data)
    assert status_of([command, str(log)]) in (2, 3)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "asks for more memory than 8 MiB; decompress it first" in err
