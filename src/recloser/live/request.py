"""Requests to the sequencer that are recorded exactly once, and the marks that they spend.

An exception from a signal handler or another thread may interrupt a request at any point. To record
its event takes the mark away in the same step, so a request that is tried again is not recorded twice.
"""

from typing import ClassVar, Protocol

from recloser.errors import PermitError


class Spendable(Protocol):
    """A permit or mark that is spent, by deleting ``_unspent``, in the step that records its event."""

    _unspent: bool


class Request(Protocol):
    """A report or command that the sequencer carries out exactly once.

    Attributes:
        is_for_children: Whether a forked child carries the request out too, because breakers in the
            child depend on it.
    """

    is_for_children: ClassVar[bool]

    @property
    def is_done(self) -> bool:
        """Whether the request is recorded."""

    def carry_out(self, at: int) -> None:
        """Record the request; called under the sequencer's lock.

        Args:
            at: The time now, in nanoseconds of the log.
        """


class ProbeClaim(Protocol):
    """A claim to a probe on which other processes decide."""

    def wait(self) -> None:
        """Wait until the claim is decided, for a bounded time; called while no lock is held."""


class Message:
    """Something that this process has to send to the other processes that share its breakers."""


class OneTimeMark:
    """A mark that can be spent once, for requests that have no permit."""

    __slots__ = ("_unspent",)

    def __init__(self) -> None:
        self._unspent = True

    @property
    def is_done(self) -> bool:
        """Whether the mark was spent."""
        return not hasattr(self, "_unspent")


def spent_before(permit: Spendable) -> PermitError:
    """Return the error for a permit that is reported a second time."""
    return PermitError(f"{permit!r} was reported before; a permit is for one call")
