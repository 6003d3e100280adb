"""The command line: statuses, streams, and one line for what goes wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from breaker_calls import fail, succeed
from log_files import read_lines, resealed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.cli import status_of

RECLOSER = Path(sys.executable).with_name("recloser")


@pytest.fixture
def path(tmp_path, clock):
    path = tmp_path / "log"
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("pay[bold]\x1b[31m", CircuitBreakerConfig(), log=log)
        fail(breaker, 5)
        for _ in range(3):
            breaker.before_call()
        clock.advance(seconds=30)
        succeed(breaker, 2)
    return path


@pytest.fixture
def traffic(tmp_path):
    trace = tmp_path / "trace.csv"
    rows = [f"{n},1,b,{'fail' if n < 5 else 'ok'}" for n in range(20)]
    trace.write_text("\n".join(["start_s,took_ms,target,outcome", *rows]) + "\n")
    return trace


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def import_csv(capsys, trace, out, *more):
    return run(
        capsys, "import", "csv", trace, "-o", out, "--breaker", "{target}", "--start", "start_s",
        "--duration", "took_ms", "--outcome", "outcome", "--failure", "fail", *more,
    )  # fmt: skip


def segment(path):
    return path / "000000000001.jsonl"


def test_replay_prints_results_only_on_standard_output(capsys, path):
    status, out, err = run(capsys, "replay", path)
    assert status == 0
    assert err == ""
    assert "CLOSED → OPEN" in out
    assert "3 edges, 3 witnesses checked, all equal; digest" in out


def test_replay_as_json_has_the_documented_form(capsys, path):
    status, out, _ = run(capsys, "replay", path, "--json")
    assert status == 0
    history = json.loads(out)
    assert next(iter(history.items())) == ("schema", "recloser.replay/1")
    assert history["breakers"] == 1
    assert history["events"] == len(read_lines(segment(path)))
    assert history["witnesses"] == {"checked": 3, "differing": 0}
    assert history["totals"] == {
        "pay[bold]\x1b[31m": {
            "succeeded": 2,
            "failed": 5,
            "ignored": 0,
            "rejected": 3,
            "stale": 0,
        }
    }
    trip = history["edges"][0]
    assert trip | {"cause": None} == {
        "seq": 8,
        "at_ns": 0,
        "utc": "2000-01-01T00:00:00.000000000Z",
        "breaker": "pay[bold]\x1b[31m",
        "epoch": 1,
        "from": "CLOSED",
        "to": "OPEN",
        "trigger": "trip",
        "cause": None,
    }
    assert trip["cause"]["seqs"] == [3, 4, 5, 6, 7]


def test_hostile_names_are_escaped_on_a_terminal(capsys, path):
    """Escape sequences of the terminal and markup of the printing library are both escaped."""
    for command in ("replay", "why"):
        _, out, err = run(capsys, command, path)
        assert "pay[bold]\\x1b[31m" in out
        assert "\x1b" not in out + err


def test_why_answers_in_its_first_line(capsys, path):
    status, out, _ = run(capsys, "why", path)
    assert status == 0
    first, *rest = out.splitlines()
    assert first.endswith(
        "opened at 2000-01-01T00:00:00.000000000Z: "
        "5 consecutive failures reached the threshold of 5"
    )
    assert any("3 calls rejected, 2 probes" in line for line in rest)
    assert sum(line.endswith("  TimeoutError") for line in rest) == 5
    assert rest[-1].startswith("again: recloser why ")


def test_why_as_json_has_its_schema_first(capsys, path):
    _, out, _ = run(capsys, "why", path, "--json")
    assert next(iter(json.loads(out).items())) == ("schema", "recloser.why/1")


def test_why_of_a_log_without_a_trip_explains_the_closed_state(capsys, tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    status, out, _ = run(capsys, "why", tmp_path / "log")
    assert status == 0
    assert out.startswith("b was CLOSED at 2000-01-01T00:00:00.000000000Z: it had never opened")
    answer = json.loads(run(capsys, "why", tmp_path / "log", "--json")[1])
    assert (answer["causes"], answer["standing"]["state"]) == ([], "CLOSED")


def test_why_notes_that_several_breakers_opened(capsys, tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        for name in ("first", "last"):
            fail(CircuitBreaker(name, log=log), 5)
    status, out, err = run(capsys, "why", tmp_path / "log")
    assert out.startswith("last opened")
    assert "2 breakers opened, and this one opened last" in err
    assert run(capsys, "why", tmp_path / "log", "--breaker", "first")[1].startswith("first opened")
    status, out, err = run(capsys, "why", tmp_path / "log", "--breaker", "absent")
    assert (status, out) == (2, "")
    assert err == "recloser: there is no breaker 'absent' in this log\n"


def test_imported_traffic_drives_breakers(capsys, traffic, tmp_path):
    status, out, err = import_csv(capsys, traffic, tmp_path / "log")
    assert (status, err) == (0, "")
    assert out.startswith("read 20 lines: 20 calls on 1 breaker, 15 succeeded, 5 failed, 0 ignored")
    settings = ["--set", "failure_threshold=3", "--set", "recovery_timeout_seconds=5"]
    status, out, err = run(capsys, "replay", tmp_path / "log", *settings, "-o", tmp_path / "driven")
    assert status == 0
    assert "failure_threshold=3, recovery_timeout_seconds=5" in err
    assert run(capsys, "replay", tmp_path / "driven", "--json")[0] == 0
    why = run(capsys, "why", tmp_path / "log", *settings)[1]
    assert "3 consecutive failures" in why
    assert why.splitlines()[-1].endswith(
        "--trip 1 --set failure_threshold=3 --set recovery_timeout_seconds=5"
    )


def test_set_takes_a_window_written_in_toml(capsys, traffic, tmp_path):
    import_csv(capsys, traffic, tmp_path / "log")
    window = "window={size=10, failure_rate=0.5, minimum_calls=3}"
    status, out, err = run(
        capsys, "why", tmp_path / "log", "--set", window, "--set", "failure_threshold=none"
    )
    assert status == 0
    assert "3 of the last 3 calls failed, which reached the threshold of 0.5" in out
    assert "failure_rate, 3 of 3 calls, threshold 0.5" in out
    status, out, err = run(capsys, "replay", tmp_path / "log", "--set", "window={size=0}")
    assert (status, out) == (2, "")
    assert err == "recloser: size must be a whole number from 1 up, not 0\n"


def test_config_file_gives_the_settings(capsys, traffic, tmp_path):
    import_csv(capsys, traffic, tmp_path / "log")
    config = tmp_path / "breaker.toml"
    config.write_text("failure_threshold = 2\n")
    why = run(capsys, "why", tmp_path / "log", "--config", config)[1]
    assert "2 consecutive failures" in why
    assert f"--config {config}" in why


def test_import_shows_and_counts_unreadable_lines(capsys, traffic, tmp_path):
    traffic.write_text(traffic.read_text() + "x,1,b,ok\n" * 7)
    status, out, err = import_csv(capsys, traffic, tmp_path / "log", "--json")
    assert status == 3
    assert len(json.loads(out)["unreadable"]) == 7
    assert err.count("'x' is not a number") == 7
    assert err.endswith("7 lines of 27 could not be read\n")


def test_existing_output_is_not_overwritten(capsys, traffic, tmp_path):
    import_csv(capsys, traffic, tmp_path / "log")
    before = segment(tmp_path / "log").read_bytes()
    for status, out, err in (
        import_csv(capsys, traffic, tmp_path / "log"),
        run(capsys, "replay", tmp_path / "log", "-o", tmp_path / "log"),
        run(capsys, "demo", "-o", tmp_path / "log"),
    ):
        assert (status, out) == (2, "")
        assert "exists already and is left as it is" in err
        assert err.count("\n") == 1
    assert segment(tmp_path / "log").read_bytes() == before


@pytest.mark.parametrize("old", [b'"call_failed","seq":5,"at":0', b'"took":0'])
def test_changed_outcome_is_damage_that_names_the_broken_seal(capsys, path, old):
    data = segment(path).read_bytes()
    segment(path).write_bytes(data.replace(old, old[:-1] + b"7", 1))
    status, out, err = run(capsys, "replay", path)
    assert (status, out) == (3, "")
    assert "byte " in err
    assert "seal 1 (seq 9) is broken" in err
    assert err.count("\n") == 1


def test_removed_witness_is_damage_that_names_the_broken_seal(capsys, path):
    lines = [line for line in read_lines(segment(path)) if b'"trigger":"trip"' not in line]
    segment(path).write_bytes(b"".join(lines))
    status, _, err = run(capsys, "replay", path)
    assert status == 3
    assert "seal 1 (seq 9) is broken" in err


@pytest.mark.parametrize(
    ("old", "new", "seq", "expected", "got"),
    [
        (b'"call_failed","seq":5', b'"call_succeeded","seq":5', 8, "no edge", "trip of 'pay"),
        (b'"trigger":"trip"', None, 8, "trip of 'pay", "log_sealed"),
    ],
)
def test_change_with_recomputed_seals_is_found_by_the_history(
    capsys, path, old, new, seq, expected, got
):
    """The status is 1; the line has the first differing seq, and what was expected and found there."""
    lines = []
    for line in read_lines(segment(path)):
        if old not in line:
            lines.append(line)
        elif new is not None:
            lines.append(line.replace(old, new).replace(b',"error":"TimeoutError"', b""))
    segment(path).write_bytes(resealed(lines))
    status, out, err = run(capsys, "replay", path)
    assert status == 1
    assert "differ; digest" in out
    assert err.startswith(f"recloser: the histories differ at seq {seq}: expected {expected}")
    assert f"; got {got}" in err
    assert err.count("\n") == 1
    status, out, _ = run(capsys, "replay", path, "--json")
    assert (status, json.loads(out)["differences"][0]["seq"]) == (1, seq)


def test_file_that_is_not_a_log_is_bad_input_in_one_line(capsys, tmp_path):
    for name, content in (("notes.txt", b"hello\nworld\n"), ("empty", b""), ("x.json", b"{}")):
        (tmp_path / name).write_bytes(content)
        status, out, err = run(capsys, "replay", tmp_path / name)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert f"{name}: this is not a recloser log" in err


def test_torn_tail_is_noted_and_has_status_4(capsys, path):
    with segment(path).open("ab") as stream:
        stream.write(b'{"event":')
    status, out, err = run(capsys, "replay", path)
    assert status == 4
    assert "all equal" in out
    assert "the last line was torn; its 9 bytes are left out" in err


def test_log_of_a_later_version_has_status_5(capsys, path):
    data = segment(path).read_bytes()
    segment(path).write_bytes(data.replace(b'"rules":1', b'"rules":9', 1))
    status, _, err = run(capsys, "replay", path)
    assert status == 5
    assert "upgrade recloser" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "absent"],
        ["replay", "--edges", "-1", "absent"],
        ["unheard-of"],
        ["machine", "--format", "png"],
        [
            "import",
            "csv",
            "absent",
            "-o",
            "x",
            "--breaker",
            "{a}",
            "--start",
            "s",
            "--outcome",
            "o",
        ],
    ],
)
def test_bad_usage_and_bad_input_have_status_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err


def test_settings_for_a_log_that_breakers_wrote_are_refused(capsys, path):
    status, _, err = run(capsys, "replay", path, "--set", "failure_threshold=2")
    assert status == 2
    assert "written by breakers" in err


def test_traceback_is_shown_only_with_debug(capsys, tmp_path):
    assert "Traceback" not in run(capsys, "replay", tmp_path / "absent")[2]
    assert "Traceback" in run(capsys, "--debug", "replay", tmp_path / "absent")[2]


def test_machine_prints_diagrams_and_json(capsys):
    assert run(capsys, "machine")[1].startswith("stateDiagram-v2\n")
    assert run(capsys, "machine", "--format", "dot")[1].startswith("digraph breaker {\n")
    machine = json.loads(run(capsys, "machine", "--json")[1])
    assert machine["schema"] == "recloser.machine/1"
    assert len(machine["edges"]) == 13


@pytest.mark.parametrize("command", [[], ["import"], ["import", "access-log"], ["demo"]])
def test_help_begins_with_the_usage(capsys, command):
    status, out, _ = run(capsys, *command, "--help")
    assert status == 0
    assert out.startswith("Usage: recloser")


def test_standard_input_can_be_replayed_and_imported(path, traffic, tmp_path):
    replayed = subprocess.run(
        [RECLOSER, "replay", "-"], input=segment(path).read_bytes(), capture_output=True, check=True
    )
    assert b"all equal" in replayed.stdout
    imported = subprocess.run(
        [RECLOSER, "import", "csv", "-", "-o", tmp_path / "imported", "--breaker", "b", "--start",
         "start_s", "--outcome", "outcome"],
        input=traffic.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert imported.stdout.startswith(b"read 20 lines")


def test_closed_pipe_is_not_an_error(path):
    command = f"{RECLOSER} replay {path} --json --edges 0 | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_ctrl_c_has_status_130(tmp_path):
    """A pipe that never ends is being read when the interrupt comes."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [RECLOSER, "replay", fifo],
        stderr=subprocess.PIPE,
        # Where the tests run in the background, a shell has turned the interrupt off for all.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        with fifo.open("wb"):
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        assert b"Traceback" not in process.stderr.read()
