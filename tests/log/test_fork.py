"""A forked child never writes into its parent's log, and keeps one of its own."""

import os

import pytest

from recloser import CircuitBreaker, EventLog
from recloser.log.reader import LogReader
from recloser.replay.engine import replay
from support import fail, held_elsewhere, succeed

if not hasattr(os, "fork"):
    pytest.skip("there is no fork on this platform", allow_module_level=True)


def in_child(work):
    """Run ``work`` in a forked child and wait for it; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return pid


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_goes_on_in_a_log_of_its_own(tmp_path, clock):
    log = EventLog(tmp_path / "log", clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    fail(breaker, 3)

    def work():
        fail(breaker, 2)
        assert breaker.current_state().value == "OPEN"
        log.close()

    pid = in_child(work)
    assert breaker.snapshot().consecutive_failures == 3
    succeed(breaker)
    log.close()

    parent = replay(tmp_path / "log")
    assert parent.differences == []
    totals = parent.snapshots["b"].totals
    assert (totals.failed, totals.succeeded) == (3, 1)

    child = replay(tmp_path / f"log-{pid}")
    assert child.differences == []
    assert child.snapshots["b"].totals.failed == 5
    assert [edge.trigger.value for edge in child.edges] == ["trip"]
    opened, gap, *_ = LogReader(tmp_path / f"log-{pid}")
    assert opened.pid == pid
    assert (gap.lost, gap.error) == (0, f"forked from process {os.getpid()}")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_uses_no_breaker_leaves_nothing(tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        fail(breaker)
        in_child(log.close)
        fail(breaker)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert replay(tmp_path / "log").snapshots["b"].totals.failed == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_was_not_folded_at_the_fork_is_the_parents_and_what_comes_is_the_childs(
    tmp_path, clock
):
    """Calls that go past the lock wait in a list, which the child has a copy of."""
    log = EventLog(tmp_path / "log", clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    call = breaker(lambda: None)
    with held_elsewhere(breaker):  # nobody folds them before the fork
        breaker.gate.pending.let_wait(100)
        for _ in range(3):
            call()

        def work():
            call()
            assert not breaker.gate.pending  # else no thread would ever come for it
            log.close()

        pid = in_child(work)
    log.close()
    counted = [
        sum(event.kind == "call_succeeded" for event in LogReader(tmp_path / name))
        for name in ("log", f"log-{pid}")
    ]
    assert counted == [3, 1]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_was_counted_before_the_fork_is_the_parents(tmp_path, clock):
    log = EventLog(tmp_path / "log", clock=clock, detail="runs", tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    for _ in range(100):
        breaker.call(int)

    def work():
        breaker.call(int)
        log.close()

    pid = in_child(work)
    log.close()
    assert breaker.snapshot().totals.succeeded == 100
    child = LogReader(tmp_path / f"log-{pid}")
    assert sum(event.count for event in child if event.kind == "call_succeeded") == 1
