"""Errors that the caller of a client made, which say nothing about the dependency.

A bad header, an address that is none, a connection pool that the caller has used up, or an upload
whose source breaks off is reported to the breaker as ignored.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from recloser.live.breaker import CircuitBreaker
from recloser.live.classification import names
from recloser.live.decision import Permit

Part = TypeVar("Part")


def is_mistake(error: BaseException | None) -> bool:
    """Whether an error says that a request was made wrongly, whatever library raised it.

    Errors of the network are some of these types too, such as a certificate that can't be verified,
    and so is an answer that can't be decoded.
    """
    return isinstance(error, TypeError | ValueError) and not isinstance(
        error, OSError | UnicodeDecodeError
    )


def report_error(
    breaker: CircuitBreaker, permit: Permit, error: BaseException, *, is_callers: bool
) -> None:
    """Report what a client raised, as ignored if the caller is at fault.

    A type of error that ``record`` of the breaker names itself is a failure all the same.
    """
    if is_callers and not names(breaker.config, error, (type(error),)):
        breaker.after_ignored(permit, error)
    else:
        breaker.classify_and_report(permit, error)


class Source:
    """The source of an upload, and whether it broke off.

    Attributes:
        is_broken: Whether the source itself raised an exception.
    """

    __slots__ = ("is_broken",)

    def __init__(self) -> None:
        self.is_broken = False

    def parts(self, parts: Iterator[Part]) -> Iterator[Part]:
        """The parts of the upload; an exception that they raise is noted."""
        while True:
            try:
                part = next(parts)
            except StopIteration:
                return
            except BaseException:
                self.is_broken = True
                raise
            yield part

    async def async_parts(self, parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
        """The parts of the upload; an exception that they raise is noted.

        A task that is cancelled while it waits for a part is no break of the source.
        """
        while True:
            try:
                part = await anext(parts)
            except StopAsyncIteration:
                return
            except Exception:
                self.is_broken = True
                raise
            yield part
