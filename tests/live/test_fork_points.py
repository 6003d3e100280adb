"""A child that a signal handler forks at any point of a call has its own calls in its own log."""

import os
import signal
import traceback
from collections import Counter
from contextlib import suppress
from itertools import count

import pytest
from breaker_calls import fail
from bytecode_points import Interruption, at_each_point
from live_modules import EVENT_LOG, SEQUENCER

from recloser import CircuitBreaker, EventLog, ManualClock
from recloser.live import writer_thread
from recloser.log.reader import LogReader

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

if not hasattr(os, "fork"):
    pytest.skip("there is no fork on this platform", allow_module_level=True)

NO_SUCH_POINT = 9


class HandlerInside(ManualClock):
    """A clock at the reading of which another handler is called, in the middle of a change."""

    handler = None
    sequencer = None

    def monotonic_ns(self):
        if self.sequencer is not None and self.sequencer.is_mine:
            handler, self.handler = self.handler, None
            if handler is not None:
                handler()
        return super().monotonic_ns()


class Host:
    """A process with a log, which no thread writes, and with a breaker for each purpose."""

    def __init__(self, path, detail):
        self.clock = HandlerInside()
        self.log = EventLog(path, clock=self.clock, tick_seconds=None, detail=detail)
        self.clock.sequencer = self.log.attach()
        names = ("of the call", "of a handler", "of the child")
        self.breakers = {name: CircuitBreaker(name, log=self.log) for name in names}
        fail(self.breakers["of the call"])
        self.children = []

    def fork(self, then=lambda: None):
        """Be a signal handler that forks, and calls in the child."""
        self.children.append(os.fork())
        if self.is_child:
            signal.alarm(20)
            fail(self.breakers["of the child"])
            then()

    @property
    def is_child(self):
        return self.children[-1:] == [0]

    def end(self):
        """Leave the child, where this is one, else close the log and wait for the child."""
        self.log.close()
        if self.is_child:
            os._exit(0)
        for child in self.children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def failures_in(path):
    return Counter(event.breaker for event in LogReader(path) if event.kind == "call_failed")


@pytest.fixture(autouse=True)
def no_thread(monkeypatch):
    """Callers write, so that the points of a call are always the same."""

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(writer_thread, "start_new_thread", refuse)


def fork_at_each_point(tmp_path, prepare, *, detail="full", in_child=lambda _: None):
    """Fork at each point of a report; give the log of each child with those of its parent.

    Args:
        tmp_path: Where the logs are made.
        prepare: Called with the host before the report.
        detail: That of the log.
        in_child: What the handler of the child does after its call, with the host.
    """
    hosts = []

    def fork():
        hosts[-1].fork(lambda: in_child(hosts[-1]))

    for n, interruption in enumerate(at_each_point(SEQUENCER, fork)):
        path = tmp_path / str(n)
        host = Host(path, detail)
        hosts.append(host)
        try:
            prepare(host)
            with interruption:
                fail(host.breakers["of the call"])
            host.end()
        finally:
            if host.is_child:  # it is not to go on with the tests
                with suppress(BaseException):
                    traceback.print_exc()
                os._exit(1)
        if interruption.is_reached:
            yield path, next(tmp_path.glob(f"{n}-*{host.children[-1]}"), None)
    assert len(hosts) > 50


@pytest.mark.parametrize("detail", ["full", "runs"])
def test_call_that_a_child_makes_in_the_handler_is_in_its_log(tmp_path, detail):
    for parent, child in fork_at_each_point(tmp_path, lambda _: None, detail=detail):
        assert failures_in(parent) == {"of the call": 2}
        assert failures_in(child)["of the child"] == 1
        assert failures_in(child)["of the call"] <= 1


def test_request_of_another_handler_is_carried_out_by_the_parent(tmp_path):
    def prepare(host):
        host.clock.handler = lambda: fail(host.breakers["of a handler"])

    for parent, child in fork_at_each_point(tmp_path, prepare):
        assert failures_in(parent) == {"of the call": 2, "of a handler": 1}
        assert failures_in(child)["of the child"] == 1
        assert failures_in(child)["of the call"] <= 1


def test_log_that_the_child_closes_in_the_handler_has_its_call(tmp_path):
    def close(host):
        host.log.close()

    for parent, child in fork_at_each_point(tmp_path, lambda _: None, in_child=close):
        assert failures_in(parent) == {"of the call": 2}
        assert failures_in(child)["of the child"] == 1


def kinds_in(path):
    return [event.kind for event in LogReader(path) if event.kind.startswith("call_")]


def test_calls_of_a_child_that_wait_are_not_those_of_its_own_child(tmp_path):
    """As where a handler forks in a child that is about to begin its log."""
    for n in count():
        host = Host(tmp_path / str(n), "full")
        interruption = Interruption(EVENT_LOG, n, host.fork)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                host.log.attach().call_buffer.limit = 100
                host.breakers["of the call"].call(int)
                with interruption:
                    host.log.attach().fold_buffered()
                host.end()
                status = 0 if interruption.is_reached else NO_SUCH_POINT
            except BaseException:  # noqa: BLE001  # the exit status says that there was one
                traceback.print_exc()
            finally:
                os._exit(status)
        host.log.close()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == NO_SUCH_POINT:
            break
        assert status == 0
        of_child = tmp_path / f"{n}-{child}"
        # One that was forked while a folder was made may have left that empty.
        (of_its_child,) = {path.parent for path in tmp_path.glob(f"{n}-*/*.jsonl")} - {of_child}
        assert kinds_in(of_child) == ["call_succeeded"]
        assert kinds_in(of_its_child) == ["call_failed"]
    assert n > 50
