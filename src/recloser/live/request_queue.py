"""Requests that wait for the entry of a thread that is in the middle of a change."""

import logging
from collections.abc import Callable
from typing import Final

from recloser.errors import RecloserError
from recloser.live import notices
from recloser.live.request import Request

_MAX_ATTEMPTS: Final = 3


class RequestQueue:
    """Requests in the order in which they were made, each carried out exactly once.

    A signal handler, a ``__del__`` or a logging handler may add a request at any point: adding is one
    step. Requests are removed under the sequencer's lock, after they are carried out.

    Attributes:
        waiting: The requests; to be read by other classes only.
    """

    __slots__ = ("_attempts", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Request] = []
        self._attempts = 0

    def add(self, request: Request) -> None:
        """Add a request; needs no lock."""
        self.waiting.append(request)

    def keep_for_children(self) -> None:
        """In a forked child: drop the requests that only the parent carries out."""
        self.waiting = [request for request in self.waiting if request.is_for_children]

    def carry_out(
        self, at: int, *, may_go_on: Callable[[], bool], make_whole: Callable[[], None]
    ) -> None:
        """Carry out all requests; called under the lock.

        Args:
            at: The time now, in nanoseconds of the log.
            may_go_on: Whether further requests may be carried out now.
            make_whole: Undoes what a request that failed has changed.
        """
        while self.waiting and may_go_on():
            request = self.waiting[0]
            self._attempts += 1
            try:
                if not request.is_done:
                    request.carry_out(at)
            except Exception as error:
                # An exception that may have come from outside is raised, and the next entry tries
                # again. An error of the request itself can only be logged, because the caller that made
                # the request has returned.
                may_retry = self._attempts < _MAX_ATTEMPTS or request.is_for_children
                if may_retry and not isinstance(error, RecloserError):
                    raise
                notices.defer(logging.WARNING, "a report could not be recorded: %r", error)
                make_whole()
            self._attempts = 0
            # In a child that a signal handler has forked meanwhile, the queue no longer has it.
            if self.waiting and self.waiting[0] is request:
                del self.waiting[0]
