"""``recloser whatif`` and ``recloser tune``: outputs, settings and wrong uses."""

import json
import tomllib

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.cli import status_of


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def traffic(capsys, tmp_path):
    trace = tmp_path / "trace.csv"
    rows = [f"{n},{b},{'fail' if n % 20 < 6 else 'ok'}" for n in range(200) for b in "xy"]
    trace.write_text("\n".join(["start_s,b,outcome", *rows]) + "\n")
    log = tmp_path / "log"
    assert run(
        capsys, "import", "csv", trace, "-o", log, "--breaker", "{b}", "--start", "start_s",
        "--outcome", "outcome", "--failure", "fail",
    )[0] == 0  # fmt: skip
    return log


@pytest.fixture
def recorded(tmp_path, clock):
    path = tmp_path / "recorded"
    config = CircuitBreakerConfig(failure_threshold=2, recovery_timeout_seconds=7)
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("pay", config, log=log)
        succeed(breaker, 3)
        fail(breaker, 2)
        for _ in range(4):
            clock.advance(seconds=1)
            breaker.before_call()
        clock.advance(seconds=7)
        succeed(breaker, 2)
    return path


def test_whatif_compares_imported_calls_with_no_breaker_and_other_settings(
    capsys, traffic, tmp_path
):
    other = tmp_path / "other.toml"
    other.write_text("failure_threshold = 3\n")
    status, out, err = run(capsys, "whatif", traffic, "--against", other)
    assert (status, err) == (0, "")
    assert out.startswith("400 calls on 2 breakers, 0 outcomes unknown (0.0 %)")
    assert str(other) in out
    printed = json.loads(run(capsys, "whatif", traffic, "--against", other, "--json")[1])
    assert next(iter(printed)) == "schema"
    assert printed["schema"] == "recloser.whatif/1"
    none, ours, theirs = printed["results"]
    assert none["total"]["let_through"] == {"low": 120, "high": 120}
    assert none["total"]["trips"]["low"] == 0
    for result in (ours, theirs):
        total = result["total"]
        assert total["saved"]["low"] + total["let_through"]["low"] == 120
        assert total["saved"]["low"] + total["lost"]["low"] == total["rejected"]["low"]
    assert theirs["total"]["let_through"]["low"] < ours["total"]["let_through"]["low"]


def test_whatif_of_a_recorded_log_starts_from_its_settings_and_shows_ranges(capsys, recorded):
    status, out, _ = run(capsys, "whatif", recorded)
    assert status == 0
    assert "4 outcomes unknown (36.3 %)" in out
    printed = json.loads(run(capsys, "whatif", recorded, "--json")[1])
    did, same = (result["total"] for result in printed["results"])
    assert did["trips"] == same["trips"] == {"low": 1, "high": 1}
    assert did["open_ns"] == same["open_ns"]
    assert did["lost"] == {"low": 0, "high": 4}
    lenient = json.loads(
        run(capsys, "whatif", recorded, "--set", "failure_threshold=3", "--json")[1]
    )
    assert lenient["results"][1]["total"]["trips"] == {"low": 0, "high": 1}


@pytest.mark.parametrize("command", ["whatif", "tune"])
def test_breaker_option_leaves_one_breaker(capsys, traffic, command):
    printed = json.loads(run(capsys, command, traffic, "--breaker", "x", "--json")[1])
    assert printed["calls"] == 200
    status, _, err = run(capsys, command, traffic, "--breaker", "z")
    assert status == 2
    assert "no breaker 'z' has calls in this log; these have: x, y" in err


def test_config_from_reads_the_settings_of_other_libraries(capsys, traffic, tmp_path):
    path = tmp_path / "envoy.json"
    path.write_text('{"outlier_detection": {"consecutive_5xx": 3, "max_ejection_percent": 10}}')
    status, _, err = run(capsys, "whatif", traffic, "--config-from", path)
    assert status == 0
    assert "max_ejection_percent is not converted" in err
    assert run(capsys, "whatif", traffic, "--config-from", path, "--config", path)[0] == 2


def test_tune_prints_toml_and_writes_a_page(capsys, traffic, tmp_path):
    page = tmp_path / "front.html"
    status, out, err = run(
        capsys, "tune", traffic, "--grid", "failure_threshold=2..6", "--grid",
        "recovery_timeout_seconds=1,2.5", "-o", page,
    )  # fmt: skip
    assert status == 0
    assert out.startswith("recommended: failure_threshold=")
    pasted = tomllib.loads(out[out.index("# to paste") :])
    config = CircuitBreakerConfig.from_mapping(pasted)
    assert f"recommended: failure_threshold={config.failure_threshold} " in out
    assert "front.html" in err
    text = page.read_text()
    assert "good calls lost" in text
    assert "<script src=" not in text.replace("\n", " ")
    assert run(capsys, "tune", traffic, "-o", page)[0] == 2


def test_tune_as_json_has_all_candidates_of_the_front(capsys, traffic):
    out = run(capsys, "tune", traffic, "--budget", "10", "--json")[1]
    printed = json.loads(out)
    assert next(iter(printed)) == "schema"
    assert printed["tried"] == 10
    assert printed["recommended"]["settings"] in [one["settings"] for one in printed["front"]]
    assert out == run(capsys, "tune", traffic, "--budget", "10", "--json")[1]


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ("failure_threshold", "NAME=VALUES"),
        ("failure_threshold=", "NAME=VALUES"),
        ("failure_threshold=x..y", "can't be read"),
        ("failure_threshold=1..2..0", "steps above 0"),
        ("failure_threshold=1..NaN", "steps above 0"),
        ("failure_threshold=1..1e30", "more than"),
        ("failure_threshold=1..2..3..4", "a range is"),
        ("failure_threshold=0..2", "failure_threshold must be"),
        ("nothing=1", "no setting 'nothing'"),
        ("failure_threshold=5..2", "no settings to try"),
        ("window.size=5", "needs a failure_rate"),
    ],
)
def test_wrong_grid_is_refused_in_one_line(capsys, traffic, grid, why):
    status, out, err = run(capsys, "tune", traffic, "--grid", grid)
    assert (status, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["whatif", "tune"])
def test_log_without_calls_is_refused(capsys, tmp_path, clock, command):
    with EventLog(tmp_path / "empty", clock=clock) as log:
        CircuitBreaker("b", log=log)
    status, _, err = run(capsys, command, tmp_path / "empty")
    assert status == 2
    assert "there is no call in this log" in err


def test_outage_that_has_not_ended_has_no_recovery_delay(capsys, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("start_s,b,o\n" + "".join(f"{second},x,fail\n" for second in range(5)))
    log = tmp_path / "log"
    printed = ("--breaker", "{b}", "--start", "start_s", "--outcome", "o", "--failure", "fail")
    assert run(capsys, "import", "csv", trace, "-o", log, *printed)[0] == 0
    status, out, _ = run(capsys, "whatif", log)
    assert status == 0
    assert "no outage ended" in out
    assert run(capsys, "whatif", log, "--json")[0] == 0
