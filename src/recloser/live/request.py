"""What is recorded exactly once, whatever interrupts it: requests, and the marks that they spend."""

from typing import ClassVar, Protocol

from recloser.errors import PermitError


class Spendable(Protocol):
    """A permit or a mark: to record an event takes ``_unspent`` away from it, in the same step."""

    _unspent: bool


class Request(Protocol):
    """A report or a command, which is carried out exactly once.

    Attributes:
        is_for_children: Whether a forked child carries it out too, as breakers there depend on it.
    """

    is_for_children: ClassVar[bool]

    @property
    def is_done(self) -> bool:
        """Whether it is recorded."""

    def carry_out(self, at: int) -> None:
        """Record it; called under the sequencer's lock.

        Args:
            at: The time in nanoseconds of the log.
        """


class ProbeClaim(Protocol):
    """A probe that others decide on, to be waited for while no lock is held."""

    def wait(self) -> None:
        """Wait until it is decided, but not for long."""


class Saying:
    """Something that other processes are to know, where they share breakers."""


class Once:
    """A mark that can be spent once."""

    __slots__ = ("_unspent",)

    def __init__(self) -> None:
        self._unspent = True

    @property
    def is_done(self) -> bool:
        """Whether it was spent."""
        return not hasattr(self, "_unspent")


def spent_before(permit: Spendable) -> PermitError:
    """The error of a permit that is reported twice."""
    return PermitError(f"{permit!r} was reported before; a permit is for one call")
