"""Forks: locks of a forking thread are taken before the fork and released after it."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing here")

_TWO_THREADS_FORK_AT_ONCE = """
import os
import threading

both = threading.Barrier(2)
os.register_at_fork(before=lambda: both.wait(20))  # called after the hook of the module imported below

from recloser.process import forks


class Holder:
    def __init__(self):
        self.lock = threading.RLock()

    def fork(self):
        with self.lock:
            child = os.fork()
            if child == 0:
                os._exit(len(forks.forking))
        statuses.append(os.waitpid(child, 0)[1])


forks.note_lock(Holder.fork, 1, "lock")
statuses, holders = [], [Holder(), Holder()]
threads = [threading.Thread(target=holder.fork) for holder in holders]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(statuses, [holder.lock.acquire(blocking=False) for holder in holders], forks.forking)
"""


def test_two_threads_that_fork_at_once_release_each_its_own_lock():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _TWO_THREADS_FORK_AT_ONCE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "[0, 0] [True, True] {}\n"
