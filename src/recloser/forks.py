"""Forks of this process, counted, so that locks and threads can be renewed in the child.

Objects compare the count with the one they were made under, at their next use. So a fork takes the
same time however many breakers there are.
"""

import os
import threading

passed = 0
"""How many forks lie between this process and the one that imported the module."""

renewing = threading.RLock()
"""Held while an object's locks are renewed, so that of several threads only one does it.

A signal handler may come in between, so a thread can take it again.
"""


def _after_fork() -> None:
    global passed, renewing  # noqa: PLW0603  # a module-level count is the cheapest to compare with
    passed += 1
    renewing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
