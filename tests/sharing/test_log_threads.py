"""The threads of a shared log: started once, replaced after their end, and awaited."""

import threading

import pytest
from redis_servers import wait_for

from recloser.sharing.log_threads import LogThreads


@pytest.fixture
def stopping():
    stopping = threading.Event()
    yield stopping
    stopping.set()


def test_each_function_runs_in_one_thread_of_its_name(stopping):
    names = []

    def run():
        names.append(threading.current_thread().name)
        stopping.wait()

    threads = LogThreads({"a": run, "b": run})
    threads.start()
    threads.start()
    wait_for(lambda: len(names) == 2)
    assert sorted(names) == ["a", "b"]
    assert not threads.need_start
    stopping.set()
    threads.await_end(20)
    assert not threads


def test_thread_that_ended_is_started_again():
    runs = []
    threads = LogThreads({"a": lambda: runs.append(1)})
    threads.start()
    wait_for(lambda: threads.need_start and not threads)
    threads.start()
    wait_for(lambda: len(runs) == 2 and not threads)


def test_failure_to_start_a_thread_is_kept_until_one_starts(monkeypatch):
    from recloser.sharing import log_threads

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    threads = LogThreads({"a": lambda: None})
    with monkeypatch.context() as patched:
        patched.setattr(log_threads, "start_new_thread", refuse)
        threads.start()
    assert threads.failure == "no thread can be started: can't start new thread"
    assert threads.need_start
    threads.start()
    assert threads.failure is None
    wait_for(lambda: not threads)
