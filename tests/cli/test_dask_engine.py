"""``--engine dask`` prints the same figures on a cluster as on one machine."""

import json
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime
from unittest import mock

import pytest
from attrs import evolve
from log_files import write_segment
from observed_calls import ObservedCall, write_trace

from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog, Outcome
from recloser.cli import status_of
from recloser.cluster import executor
from recloser.cluster.dataset import describe
from recloser.log import parquet
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader

MS = 10**6
NAMES = ("bank", "mail", "stock")
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1)
GRID = ("--grid", "failure_threshold=1..6", "--grid", "recovery_timeout_seconds=0.5,2")


@pytest.fixture(scope="module")
def scheduler():
    with executor.local_cluster(2) as workers:
        yield workers.scheduler_address


def is_failure(step, number):
    """Outages of a third of the time, and other failures now and then."""
    return step % 60 < 20 or (step * (number + 3)) % 17 == 0


def recorded(host="web-1", seed=0):
    """The log of three live breakers."""
    clock = ManualClock(start=START)
    log = MemoryLog(clock=clock, host=host)
    breakers = [CircuitBreaker(name, CONFIG, log=log) for name in NAMES]
    for step in range(200):
        for number, breaker in enumerate(breakers):
            clock.advance(ns=30 * MS)
            permit = breaker.before_call().permit
            if permit is not None and is_failure(step + seed, number):
                breaker.after_failure(permit, "TimeoutError", took_ns=MS)
            elif permit is not None:
                breaker.after_success(permit, took_ns=MS)
    return list(log)


def imported(folder):
    calls = [
        ObservedCall(
            name,
            (step * 3 + number) * 30 * MS,
            MS,
            Outcome.FAILED if is_failure(step, number) else Outcome.SUCCEEDED,
        )
        for step in range(200)
        for number, name in enumerate(NAMES)
    ]
    write_trace(folder / "trace", calls)
    return LogReader(folder / "trace")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """One Parquet file of each kind, with several row groups."""
    folder = tmp_path_factory.mktemp("logs")
    with mock.patch.object(parquet, "ROW_GROUP", 50):
        write_parquet(recorded(), folder / "recorded.parquet")
        write_parquet(imported(folder), folder / "imported.parquet")
    assert all(len(describe(str(path)).row_groups) > 3 for path in folder.glob("*.parquet"))
    return folder


def output_of(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def both(capsys, logs, scheduler):
    """The output of a command on one machine, and on the cluster."""

    def run(command, kind, *more):
        path = logs / f"{kind}.parquet"
        alone = output_of(capsys, command, path, *more)
        with mock.patch.object(
            executor.DaskRunner, "run", autospec=True, side_effect=work
        ) as worked:
            on_cluster = output_of(
                capsys, command, path, *more, "--engine", "dask", "--scheduler", scheduler
            )
        assert worked.called
        return alone, on_cluster

    work = executor.DaskRunner.run
    return run


WHATIF = [("--set", "failure_threshold=5"), ("--breaker", "mail"), ("--outage", "3"), ()]
DRIVEN = ("--set", "failure_threshold=3", "--set", "recovery_timeout_seconds=1")
TUNE = [GRID, (*GRID, "--failure-weight", "9"), (*GRID, "--breaker", "stock")]


@pytest.mark.parametrize("kind", ["recorded", "imported"])
@pytest.mark.parametrize(
    "asked",
    [*(("whatif", *more) for more in WHATIF), *(("tune", *more) for more in TUNE)],
    ids=" ".join,
)
def test_whatif_and_tune_give_the_same_json_on_a_cluster(both, asked, kind):
    command, *more = asked
    alone, on_cluster = both(command, kind, *more, "--json")
    assert alone[0] == 0
    assert on_cluster == alone


@pytest.mark.parametrize("asked", [("whatif", *WHATIF[0]), ("tune", *TUNE[0])], ids=" ".join)
def test_whatif_and_tune_give_the_same_text_on_a_cluster(both, asked):
    command, *more = asked
    alone, on_cluster = both(command, "recorded", *more)
    assert alone[0] == 0
    assert on_cluster == alone


def test_whatif_with_settings_files_gives_the_same_on_a_cluster(both, tmp_path):
    for name, threshold in (("own", 4), ("other", 40)):
        (tmp_path / f"{name}.toml").write_text(f"failure_threshold = {threshold}\n")
    files = ("--config", tmp_path / "own.toml", "--against", tmp_path / "other.toml")
    alone, on_cluster = both("whatif", "imported", *files, "--json")
    assert on_cluster == alone
    trips = [each["total"]["trips"]["low"] for each in json.loads(alone[1])["results"]]
    assert trips[1] > 0 == trips[2]


def test_replay_gives_the_same_json_on_a_cluster_and_lists_each_log(both, logs):
    alone, on_cluster = both("replay", "recorded", "--json")
    assert (alone[0], on_cluster[0]) == (0, 0)
    assert_same(json.loads(alone[1]), json.loads(on_cluster[1]), logs / "recorded.parquet")


def test_imported_traffic_on_a_cluster_has_the_evidence_of_a_replay_by_events(both, capsys, logs):
    """One machine drives an exported trace by its columns, which record no evidence."""
    (_, alone, _), (status, on_cluster, err) = both("replay", "imported", *DRIVEN, "--json")
    assert status == 0
    assert "driven with failure_threshold=3, recovery_timeout_seconds=1" in err
    by_events = json.loads(output_of(capsys, "replay", logs / "trace", *DRIVEN, "--json")[1])
    expected = {**json.loads(alone), "edges": by_events["edges"]}
    assert_same(expected, json.loads(on_cluster), logs / "imported.parquet")


def assert_same(expected, found, path):
    expected["edges"] = [{"log": str(path), **edge} for edge in expected["edges"]]
    assert len(expected["edges"]) > 20
    (log,) = found.pop("logs")
    assert (log["log"], log["digest"]) == (str(path), expected["digest"])
    assert found.pop("engine") == {"name": "dask", "because": None}
    del expected["engine"]
    assert found == expected


def test_replay_prints_the_same_tables_on_a_cluster(both):
    (_, alone, _), (_, on_cluster, err) = both("replay", "recorded")
    digest = alone.rpartition("digest ")[2]
    assert on_cluster == alone.replace(" events, ", " events in 1 log, ")
    assert digest in on_cluster
    assert err == ""


@pytest.fixture
def pair(tmp_path):
    """Two hosts with breakers of the same names."""
    for number in (1, 2):
        write_parquet(recorded(f"web-{number}", 7 * number), tmp_path / f"{number}.parquet")
    return tmp_path


def test_whatif_and_tune_sum_the_figures_of_several_logs(capsys, pair, scheduler):
    def of(*arguments):
        status, out, err = output_of(capsys, *arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    cluster = ("--engine", "dask", "--scheduler", scheduler)
    whatif, tune = ("--set", "failure_threshold=5"), GRID
    one, other = (of("whatif", pair / name, *whatif) for name in ("1.parquet", "2.parquet"))
    found = of("whatif", f"{pair}/*.parquet", *whatif, *cluster)
    assert found["calls"] == one["calls"] + other["calls"] == 1200
    for each, *parts in zip(found["results"], one["results"], other["results"], strict=True):
        for figure, bounds in each["total"].items():
            sums = Counter()
            for part in parts:
                sums.update(part["total"][figure])
            assert bounds == {bound: sums[bound] for bound in bounds}
        assert sorted(each["breakers"]) == sorted(
            f"{name} @ web-{number}" for name in NAMES for number in (1, 2)
        )
    one, other = (
        of_tune(output_of(capsys, "tune", pair / f"{n}.parquet", *tune, "--json")) for n in "12"
    )
    found = of_tune(output_of(capsys, "tune", pair, *tune, *cluster, "--json"))
    assert found == {name: one[name] + other[name] for name in one}


def of_tune(said):
    status, out, _ = said
    assert status == 0
    tuned = json.loads(out)
    return {
        "calls": tuned["calls"],
        "unknown": tuned["unknown"],
        **{
            f"{part} {what}": n
            for part in ("chosen_by", "held_out")
            for what, n in tuned[part].items()
        },
        **{f"base {name}": n for name, n in tuned["base"]["chosen_by"].items()},
    }


def test_breakers_with_one_name_are_shown_with_their_host(capsys, pair, scheduler):
    cluster = ("--engine", "dask", "--scheduler", scheduler)
    status, out, err = output_of(capsys, "replay", pair, *cluster, "--edges", "3")
    assert status == 0
    assert "bank @ web-1" in out
    assert "bank @ web-2" in out
    assert "in 2 logs" in out
    assert "before them; --edges 0 shows all" in out
    assert "--merge-hosts treats them as one" in err


@pytest.mark.parametrize("more", [(), ("--merge-hosts",)], ids=["apart", "merged"])
def test_edges_of_several_hosts_are_ordered_by_wall_time(capsys, pair, scheduler, more):
    cluster = ("--engine", "dask", "--scheduler", scheduler)
    _, out, _ = output_of(capsys, "replay", pair, *cluster, *more, "--edges", "0")
    edges = [line.split() for line in out.splitlines() if "→" in line]
    assert {edge[2] for edge in edges} == set(NAMES)
    assert len(edges) > 20
    assert [edge[1] for edge in edges] == sorted(edge[1] for edge in edges)


def test_differing_witness_names_its_log_and_has_status_1(capsys, pair, scheduler):
    events = recorded()
    place = next(n for n, event in enumerate(events) if event.kind == "state_changed")
    events[place] = evolve(events[place], to_state=events[place].from_state)
    write_parquet(events, pair / "0.parquet")
    status, out, err = output_of(
        capsys, "replay", pair, "--engine", "dask", "--scheduler", scheduler, "--json"
    )
    assert status == 1
    found = json.loads(out)
    assert {each["log"] for each in found["differences"]} == {str(pair / "0.parquet")}
    assert [log["engine"]["name"] for log in found["logs"]] == ["events", "columns", "columns"]
    assert f"{pair}/0.parquet: the histories differ at seq" in err


def test_torn_tail_names_its_log_and_has_status_4(capsys, pair, scheduler):
    segment = write_segment(pair / "torn", recorded())
    with segment.open("ab") as file:
        file.write(b'{"event":"call_succ')
    log = LogReader(segment)
    write_parquet(log, pair / "0.parquet", tail=lambda: log.tail)
    status, _, err = output_of(capsys, "replay", pair, "--engine", "dask", "--scheduler", scheduler)
    assert status == 4
    assert f"{pair}/0.parquet: " in err


# Merged hosts


def export_host(path, calls):
    """A trace of one host: each call as milliseconds and its outcome, ``F`` or ``.``."""
    outcomes = {"F": Outcome.FAILED, ".": Outcome.SUCCEEDED}
    observed = [ObservedCall("bank", at * MS, MS, outcomes[letter]) for at, letter in calls]
    write_trace(path.with_suffix(""), observed)
    write_parquet(LogReader(path.with_suffix("")), path)


@pytest.fixture
def merging(capsys, tmp_path, scheduler):
    """Three consecutive failures, except for a success of the other host 2 ms before the last."""
    export_host(tmp_path / "a.parquet", [(10, "F"), (20, "F"), (30, "F")])
    export_host(tmp_path / "b.parquet", [(0, "."), (28, "."), (500, ".")])

    def run(*more):
        cluster = ("--engine", "dask", "--scheduler", scheduler)
        settings = ("--set", "failure_threshold=3", "--merge-hosts")
        status, out, err = output_of(
            capsys, "replay", f"{tmp_path}/*.parquet", *cluster, *settings, *more
        )
        assert (status, err) == (0, "")
        return out

    return run


def test_merging_shows_whether_an_order_that_clocks_leave_open_changes_an_edge(merging):
    certain = merging()
    assert "change no edge" in certain
    assert "if this host" not in certain
    uncertain = merging("--clock-uncertainty", "4ms")
    assert "6 calls, 0 edges" in uncertain
    lines = [line.split() for line in uncertain.splitlines() if "an additional edge" in line]
    assert [line[:4] for line in lines] == [
        ["bank", "a.parquet", "4.000", "ms"],
        ["bank", "b.parquet", "4.000", "ms"],
    ]
    assert ["slow" in line for line in lines] == [True, False]


def test_merged_hosts_as_json_have_the_documented_form(merging):
    found = json.loads(merging("--clock-uncertainty", "4ms", "--json"))
    assert next(iter(found.items())) == ("schema", "recloser.replay/1")
    assert (found["breakers"], found["edges"]) == (1, [])
    assert found["states"] == {"bank": "CLOSED"}
    assert found["totals"]["bank"]["failed"] == 3
    merged = found["merged"]["bank"]
    assert [(share["host"], share["calls"]) for share in merged["hosts"]] == [
        ("a.parquet", 3),
        ("b.parquet", 3),
    ]
    assert [share["uncertainty_ns"] for share in merged["hosts"]] == [4 * MS, 4 * MS]
    assert [(change["host"], change["ahead_ns"]) for change in merged["changes"]] == [
        ("a.parquet", -4 * MS),
        ("b.parquet", 4 * MS),
    ]


def test_merging_notes_how_many_rejected_calls_are_left_out(capsys, pair, scheduler):
    cluster = ("--engine", "dask", "--scheduler", scheduler)
    status, out, err = output_of(capsys, "replay", pair, *cluster, "--merge-hosts", "--json")
    assert status == 0
    merged = json.loads(out)["merged"]
    assert list(merged) == sorted(NAMES)
    shares = [share for each in merged.values() for share in each["hosts"]]
    refused = sum(share["refused"] for share in shares)
    assert sum(share["calls"] for share in shares) + refused == 1200
    assert err.startswith(
        f"recloser: {refused} calls left out that the hosts' own breakers rejected"
    )


# Usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workers", "2"), "--scheduler and --workers need --engine dask"),
        (("--engine", "dask", "--workers", "2", "--scheduler", "x"), "give one of them"),
        (("--merge-hosts",), "need --engine dask"),
        (("--engine", "dask", "--clock-uncertainty", "5ms"), "needs --merge-hosts"),
        (("--engine", "dask", "--prove"), "can't be used with --engine dask"),
        (
            ("--engine", "dask", "--merge-hosts", "--clock-uncertainty", "soon"),
            "cannot read 'soon' as a clock uncertainty",
        ),
        (
            ("--engine", "dask", "--merge-hosts", "--clock-uncertainty=-1ms"),
            "must be at least 0ns, not -1ms",
        ),
        (("--engine", "dask"), "*.parquet: there is no such file"),
    ],
)
def test_options_that_exclude_each_other_are_refused_before_workers_start(
    capsys, tmp_path, arguments, said
):
    with mock.patch.object(executor, "cluster", side_effect=AssertionError):
        status, out, err = output_of(capsys, "replay", tmp_path / "*.parquet", *arguments)
    assert (status, out) == (2, "")
    assert said in err


EXTRA = ("fsspec", "numpy", "pyarrow", "distributed")


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        *(("replay", (name,)) for name in EXTRA),
        *((command, EXTRA) for command in ("replay", "whatif", "tune")),
    ],
)
def test_missing_library_is_reported_with_its_extra(logs, command, missing):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(sys.argv[1].split(',')))\n"
        "from recloser.cli import status_of\n"
        "sys.exit(status_of(sys.argv[2:]))"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            ",".join(missing),
            command,
            logs / "recorded.parquet",
            "--engine=dask",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"recloser: --engine dask needs {missing[0]}, which is not installed; "
        "pip install 'recloser[dask]'\n"
    )


def test_workers_start_even_if_the_port_of_the_dashboard_is_taken(capsys, logs):
    path = logs / "recorded.parquet"
    alone = json.loads(output_of(capsys, "replay", path, "--json")[1])
    starting = mock.patch.object(executor, "local_cluster", side_effect=executor.local_cluster)
    with closing(socket.socket()) as port, starting as started:
        with suppress(OSError):  # then another has it, which is as well
            port.bind(("127.0.0.1", 8787))
            port.listen()
        asked = ("--engine", "dask", "--workers", "1", "--json")
        status, out, err = output_of(capsys, "replay", path, *asked)
    assert (status, err) == (0, "")
    assert started.call_args.args == (1,)
    assert json.loads(out)["digest"] == alone["digest"]
