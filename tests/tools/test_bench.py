"""The benchmark measures everything it lists, and checks that each adapter drives its library."""

import json
import subprocess
import sys

import pytest

from bench import calls, columns, hostile, ours, threads, tuning
from bench.adapters import FEW, Adapter, Broken, Protection, Unsupported, nothing
from bench.command import main
from bench.effort import SMOKE
from bench.partner import INTERPRETED
from bench.peers import PEERS
from bench.results import Series
from bench.rules import RULES
from bench.timing import Subject, interleave
from bench.verification import AdapterError, verify
from conftest import ROOT
from recloser import CircuitBreaker, CircuitOpenError

PATHS = ["closed", "refused", "failing"]
THREADS = ["threads-1", "threads-2", "threads-8", "threads-waiting"]
ASYNC = [f"async-{path}" for path in PATHS]
HOSTILE = [hostile.key_of(rule, share) for rule in RULES for share in hostile.SHARES]
KINDS, SHARES = columns.KINDS, columns.SHARES
FOLDS = [columns.key_of(kind, share) for kind in KINDS for share in SHARES]
EDGES = [columns.key_of(kind, share, "edges") for kind in KINDS for share in SHARES[1:]]
TUNE = [tuning.key_of(kind, share) for share in tuning.SHARES for kind in tuning.KINDS]
WITH_BOTH_BUILDS = [*PATHS, *ASYNC, *THREADS, *HOSTILE, "append", "replay", *FOLDS, "importing"]
GROUPS = [*WITH_BOTH_BUILDS, *EDGES, *TUNE, "opening", "memory", "import", "start"]
WAYS = [way.name for way in ours.WAYS if way.name != ours.RUNS or ours.has_runs()]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The files that a short run of the benchmark writes."""
    folder = tmp_path_factory.mktemp("bench")
    asked = [f"--{form}={folder / form}" for form in ("json", "markdown", "plot")]
    subprocess.run(
        [sys.executable, ROOT / "tools" / "bench", "--smoke", "--interpreted", *asked],
        capture_output=True,
        check=True,
        cwd=folder,
    )
    return folder


def test_run_has_every_measurement(smoke):
    result = json.loads((smoke / "json").read_text())
    assert result["schema"] == "recloser.bench/1"
    assert [group["key"] for group in result["groups"]] == GROUPS
    for group in result["groups"]:
        names = [subject["name"] for subject in group["subjects"]]
        assert group["reference"] in names
        for subject in group["subjects"]:
            assert set(subject["ratios"]) == set(names)
            assert subject["low"] <= subject["median"] <= subject["high"]


@pytest.mark.parametrize("key", [*PATHS, *ASYNC, *THREADS, "memory"])
def test_run_measures_recloser_with_every_kind_of_log(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    assert {subject["name"] for subject in group["subjects"]} >= set(WAYS)


@pytest.mark.parametrize("key", [*WITH_BOTH_BUILDS, "memory", "import", "start"])
def test_run_measures_recloser_interpreted_too(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    named = {subject["name"] for subject in group["subjects"]}
    own = {name for name in named if name.startswith("recloser") and INTERPRETED not in name}
    assert own
    assert {f"{name}{INTERPRETED}" for name in own} == named - own - {
        name for name in named if INTERPRETED not in name
    }


@pytest.mark.parametrize("key", HOSTILE)
def test_run_measures_failing_calls_with_every_kind_of_log(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    named = {subject["name"] for subject in group["subjects"]}
    assert named >= {"bare call", "floor", ours.NO_LOG, ours.DISK, ours.RUNS}


def test_run_names_every_library_that_is_not_measured(smoke):
    result = json.loads((smoke / "json").read_text())
    for adapter in (*ours.WAYS, *PEERS):
        measured = any(
            subject["name"] == adapter.name
            for group in result["groups"]
            for subject in group["subjects"]
        )
        assert measured or result["missing"][adapter.name]


def test_markdown_tables_have_every_measurement(smoke):
    result = json.loads((smoke / "json").read_text())
    text = (smoke / "markdown").read_text()
    for group in result["groups"]:
        assert f"## {group['title']}, {group['unit']}\n" in text
    for name, reason in result["missing"].items():
        assert f"not measured: {name}: {reason}" in text


def test_plot_loads_nothing_from_the_network(smoke):
    page = (smoke / "plot").read_text()
    assert ours.DISK in page
    assert "<script src=" not in page


@pytest.mark.parametrize(
    "asked", [["--only", "nothing"], ["--without", "nobody"], ["--smoke", "--publish"]]
)
def test_wrong_options_of_the_benchmark_are_refused(asked, capsys):
    with pytest.raises(SystemExit) as left:
        main(asked)
    assert left.value.code == 2
    assert asked[-1] in capsys.readouterr().err


class OpensAtTheThreshold:
    """A correct breaker, which the adapters below each break in one respect."""

    def __init__(self, failures):
        self.failures = failures

    def protect(self, function):
        def call():
            if self.failures == 0:
                raise PermissionError
            try:
                return function()
            except Broken:
                self.failures -= 1
                raise

        return call


def adapter(make):
    return Adapter("peer", "peer", make, None)


def test_correct_adapter_passes_its_check():
    def make(failures):
        breaker = OpensAtTheThreshold(failures)
        return Protection(breaker, breaker.protect, PermissionError)

    verify([adapter(make)])


def test_adapters_of_recloser_pass_their_checks():
    verify([way for way in ours.WAYS if way.name in WAYS])


def bare(_):
    return Protection(None, lambda function: function, PermissionError)


def swallowing(_):
    return Protection(None, lambda _: nothing, PermissionError)


def calling_twice(failures):
    breaker = OpensAtTheThreshold(failures)

    def protect(function):
        protected = breaker.protect(function)
        return lambda: [protected(), protected()][0]

    return Protection(breaker, protect, PermissionError)


def opening_at_once(_):
    breaker = OpensAtTheThreshold(1)
    return Protection(breaker, breaker.protect, PermissionError)


def opening_when_it_is_not_to(_):
    breaker = OpensAtTheThreshold(FEW)
    return Protection(breaker, breaker.protect, PermissionError)


def refusing_with_another_error(failures):
    breaker = OpensAtTheThreshold(failures)
    return Protection(breaker, breaker.protect, LookupError)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bare, "they do not count"),
        (swallowing, "a call does not go through"),
        (calling_twice, "a call does not go through, once"),
        (opening_at_once, "it opened after 1 failures"),
        (opening_when_it_is_not_to, "it opened, though it should not"),
        (refusing_with_another_error, "it raised <class 'PermissionError'>"),
    ],
)
def test_adapter_that_does_not_drive_its_library_is_reported(make, message):
    with pytest.raises(AdapterError, match=f"^peer: .*{message}"):
        verify([adapter(make)])


def test_library_that_can_not_stay_closed_is_measured_without_failures():
    def make(failures):
        if failures != FEW:
            raise Unsupported("it always opens")
        breaker = OpensAtTheThreshold(failures)
        return Protection(breaker, breaker.protect, PermissionError)

    verify([adapter(make)])


def test_asynchronous_adapter_is_checked_in_an_event_loop():
    def make(failures):
        breaker = CircuitBreaker("a", log=None)
        assert failures
        return Protection(breaker, breaker, CircuitOpenError)

    with pytest.raises(AdapterError, match="^peer, asynchronous: it opened, though it should not"):
        verify([Adapter("peer", "peer", None, make)])


def test_measurement_that_a_library_does_not_support_is_left_out_with_a_reason():
    def make(failures):
        if failures != FEW:
            raise Unsupported("it always opens")
        breaker = OpensAtTheThreshold(failures)
        return Protection(breaker, breaker.protect, PermissionError)

    groups = {group.key: group for group in calls.measured(SMOKE, [adapter(make)])}
    assert "peer" in groups["closed"]
    assert "peer" in groups["refused"]
    assert groups["failing"].missing == {"peer": "it always opens"}
    assert "coroutine" in groups["async-closed"].missing["peer"]


def test_calls_of_many_threads_wait_for_the_given_time():
    *_, waiting = threads.measured(SMOKE, [])
    # No machine is so fast that more calls of 5 ms fit into a second of eight threads.
    assert all(series.median <= 8 / 0.005 for series in waiting.series)


def test_subjects_alternate_and_each_turn_starts_afresh():
    turns = []

    class Turn:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            turns.append(self.name)
            return lambda _: None

        def __exit__(self, *_):
            turns.append(self.name.upper())

    subjects = [Subject(name, lambda name=name: Turn(name)) for name in "abc"]
    series = interleave(subjects, SMOKE, count=1)
    assert "".join(turns) == "aAbBcC"
    assert [one.name for one in series] == ["a", "b", "c"]


def test_events_that_a_log_lost_are_reported():
    lost = iter([0, 7])

    class Turn:
        def __enter__(self):
            return lambda _: None

        def __exit__(self, *_):
            pass

    (series,) = interleave(
        [Subject("a", Turn, counted={"lost": lambda: next(lost)})], SMOKE, count=14
    )
    assert series.figures == {"share_lost": 0.5}


def test_ratio_is_the_median_of_the_ratios_within_rounds():
    # The machine was ten times as slow in the second round, which says nothing of either.
    first, second = Series("a", (2, 30, 4)), Series("b", (1, 10, 4))
    assert first.ratio_to(second) == 2
    assert Series("c", (8,)).ratio_to(second) == 2
