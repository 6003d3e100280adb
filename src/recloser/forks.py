"""Forks of this process, counted, so that locks and threads can be renewed in the child.

Objects compare the count with the one they were made under, at their next use. So a fork takes the
same time however many breakers there are.
"""

import os
import threading

passed = 0
"""How many forks lie between this process and the one that imported the module."""

forking = 0
"""The thread that forks right now, in the parent and in the child; 0 if none does.

In the child it may come here before anything is renewed: ``threading`` is renewed first, and what
is collected meanwhile may call a breaker. Such a call waits for nothing.
"""

renewing = threading.RLock()
"""Held while an object's locks are renewed, so that of several threads only one does it.

A signal handler may come in between, so a thread can take it again.
"""


def is_forking() -> bool:
    """Whether this very thread is in the middle of a fork."""
    return forking == threading.get_ident()


def _before_fork() -> None:
    global forking  # noqa: PLW0603  # a name of the module is the cheapest to compare with
    forking = threading.get_ident()


def _after_in_parent() -> None:
    global forking  # noqa: PLW0603  # as above
    forking = 0


def _after_in_child() -> None:
    global passed, forking, renewing  # noqa: PLW0603  # as above
    renewing = threading.RLock()
    passed += 1
    forking = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
