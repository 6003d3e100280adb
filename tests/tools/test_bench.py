"""The benchmark measures all that it says, and refuses to time what it does not really drive."""

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
    """What a run of a few calls writes."""
    folder = tmp_path_factory.mktemp("bench")
    asked = [f"--{form}={folder / form}" for form in ("json", "markdown", "plot")]
    subprocess.run(
        [sys.executable, ROOT / "tools" / "bench", "--smoke", "--interpreted", *asked],
        capture_output=True,
        check=True,
        cwd=folder,
    )
    return folder


def test_every_measurement_is_there(smoke):
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
def test_recloser_is_measured_in_each_of_its_ways(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    assert {subject["name"] for subject in group["subjects"]} >= set(WAYS)


@pytest.mark.parametrize("key", [*WITH_BOTH_BUILDS, "memory", "import", "start"])
def test_each_of_our_subjects_is_measured_interpreted_too(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    named = {subject["name"] for subject in group["subjects"]}
    own = {name for name in named if name.startswith("recloser") and INTERPRETED not in name}
    assert own
    assert {f"{name}{INTERPRETED}" for name in own} == named - own - {
        name for name in named if INTERPRETED not in name
    }


@pytest.mark.parametrize("key", HOSTILE)
def test_recloser_meets_failures_without_a_log_and_with_both_kinds(smoke, key):
    result = json.loads((smoke / "json").read_text())
    (group,) = [group for group in result["groups"] if group["key"] == key]
    named = {subject["name"] for subject in group["subjects"]}
    assert named >= {"bare call", "floor", ours.NO_LOG, ours.DISK, ours.RUNS}


def test_each_subject_is_measured_or_named_with_the_reason(smoke):
    result = json.loads((smoke / "json").read_text())
    for adapter in (*ours.WAYS, *PEERS):
        measured = any(
            subject["name"] == adapter.name
            for group in result["groups"]
            for subject in group["subjects"]
        )
        assert measured or result["missing"][adapter.name]


def test_the_tables_have_every_measurement(smoke):
    result = json.loads((smoke / "json").read_text())
    told = (smoke / "markdown").read_text()
    for group in result["groups"]:
        assert f"## {group['title']}, {group['unit']}\n" in told
    for name, reason in result["missing"].items():
        assert f"not measured: {name}: {reason}" in told


def test_the_plot_loads_nothing(smoke):
    page = (smoke / "plot").read_text()
    assert ours.DISK in page
    assert "<script src=" not in page


@pytest.mark.parametrize(
    "asked", [["--only", "nothing"], ["--without", "nobody"], ["--smoke", "--publish"]]
)
def test_what_makes_no_sense_is_refused(asked, capsys):
    with pytest.raises(SystemExit) as left:
        main(asked)
    assert left.value.code == 2
    assert asked[-1] in capsys.readouterr().err


class OpensAtTheThreshold:
    """A breaker for the adapters below, which each break one thing about it."""

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


def test_an_adapter_that_drives_its_library_is_let_through():
    def make(failures):
        breaker = OpensAtTheThreshold(failures)
        return Protection(breaker, breaker.protect, PermissionError)

    verify([adapter(make)])


def test_so_are_ours():
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
    ("make", "told"),
    [
        (bare, "they do not count"),
        (swallowing, "a call does not go through"),
        (calling_twice, "a call does not go through, once"),
        (opening_at_once, "it opened after 1 failures"),
        (opening_when_it_is_not_to, "it opened, though told not to"),
        (refusing_with_another_error, "it raised <class 'PermissionError'>"),
    ],
)
def test_an_adapter_that_does_not_is_named(make, told):
    with pytest.raises(AdapterError, match=f"^peer: .*{told}"):
        verify([adapter(make)])


def test_who_cannot_stay_closed_says_so():
    def make(failures):
        if failures != FEW:
            raise Unsupported("it always opens")
        breaker = OpensAtTheThreshold(failures)
        return Protection(breaker, breaker.protect, PermissionError)

    verify([adapter(make)])


def test_a_coroutine_function_is_tried_in_a_loop():
    def make(failures):
        breaker = CircuitBreaker("a", log=None)
        assert failures
        return Protection(breaker, breaker, CircuitOpenError)

    with pytest.raises(AdapterError, match="^peer, asynchronous: it opened, though told not to"):
        verify([Adapter("peer", "peer", None, make)])


def test_a_path_that_a_library_cannot_take_is_named_with_the_reason():
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


def test_the_calls_of_many_threads_wait_as_they_are_said_to():
    *_, waiting = threads.measured(SMOKE, [])
    # No machine is so fast that more calls of 5 ms fit into a second of eight threads.
    assert all(series.median <= 8 / 0.005 for series in waiting.series)


def test_subjects_take_turns_and_each_turn_begins_anew():
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


def test_what_a_log_lost_in_its_turns_is_told():
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


def test_a_ratio_is_taken_within_the_rounds():
    # The machine was ten times as slow in the second round, which says nothing of either.
    first, second = Series("a", (2, 30, 4)), Series("b", (1, 10, 4))
    assert first.ratio_to(second) == 2
    assert Series("c", (8,)).ratio_to(second) == 2
