"""After any loss of power, a log opens and has everything that its durability promised."""

import shutil
from pathlib import PurePosixPath

import pytest

import power
from power_loss.crashes import Crash, crashes, whole
from power_loss.judge import fault, scratch
from power_loss.trace import Call

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
@pytest.mark.parametrize("service", power.QUICK)
def test_log_opens_in_every_state_that_a_power_loss_may_leave(service, capsys):
    drawn = power.drawn_from(power.QUICK[service], seed=7, states=80, per_call=4, second=0)
    faults = [found for found in power.judged(drawn, jobs=1) if found is not None]
    assert faults == []
    assert len(drawn) >= 60
    with capsys.disabled():
        print(f"\nloss of power, {service}: {len(drawn)} states, none wrong")


def call(name, *paths, **more):
    return Call(name, tuple(map(PurePosixPath, paths)), **more)


WRITTEN = [
    call("create", "a"),
    call("write", "a", data=b"1" * 5000),
    call("sync", "a"),
    call("sync", "."),
    call("write", "a", data=b"2" * 5000, offset=5000),
    call("rename", "a", "b"),
]


def states_after(calls, name):
    drawn = crashes(calls, seed=1, per_call=400)
    return {crash.state.get(name) for crash in drawn if crash.calls == len(calls)}


def test_synced_data_is_in_every_state_after_a_power_loss():
    found = states_after(WRITTEN, "b") | states_after(WRITTEN, "a")
    assert all(content is None or content.startswith(b"1" * 5000) for content in found)


def test_unsynced_data_may_be_there_in_part_or_in_some_pages():
    found = states_after(WRITTEN[:5], "a")
    assert {b"1" * 5000, b"1" * 5000 + b"2" * 5000} <= found
    assert any(5000 < len(content) < 10_000 for content in found)  # a prefix
    late = b"1" * 5000 + bytes(8192 - 5000) + b"2" * (10_000 - 8192)
    assert late in found  # a later page without the one in front of it


def test_unsynced_rename_leaves_the_old_name_or_the_new_one():
    drawn = [c for c in crashes(WRITTEN, seed=1, per_call=100) if c.calls == len(WRITTEN)]
    assert {tuple(crash.state) for crash in drawn} == {("a",), ("b",)}
    assert set(states_after(WRITTEN[:3], "a")) >= {None}  # its folder was not synced


def test_state_without_a_power_loss_is_the_one_after_all_calls():
    assert whole(WRITTEN) == {"b": b"1" * 5000 + b"2" * 5000}


def test_state_that_lacks_promised_outcomes_is_a_fault():
    with scratch() as folder:
        assert fault(Crash({"log": None}, frozenset(), 1), folder / "state") is None
        found = fault(Crash({"log": None}, frozenset({17}), 1), folder / "state")
    assert found == "1 promised outcomes are missing, such as 17"
