"""Tell the caller's mistakes from failures of the dependency.

An invalid header or address, a connection pool that the caller has used up, or an upload whose source
fails says nothing about the dependency. Such errors are reported to the breaker as ignored.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from recloser.live.breaker import CircuitBreaker
from recloser.live.classification import names
from recloser.live.decision import Permit

Part = TypeVar("Part")


def is_mistake(error: BaseException | None) -> bool:
    """Return whether an error means that the request itself was invalid.

    These are ``TypeError`` and ``ValueError``. A certificate that cannot be verified and an answer that
    cannot be decoded have such types too, and are excluded.
    """
    return isinstance(error, TypeError | ValueError) and not isinstance(
        error, OSError | UnicodeDecodeError
    )


def report_error(
    breaker: CircuitBreaker, permit: Permit, error: BaseException, *, is_callers: bool
) -> None:
    """Report an error that a client raised; ignore it if the caller is at fault.

    An error whose own type is listed in the breaker's ``record`` setting is always a failure.
    """
    if is_callers and not names(breaker.config, error, (type(error),)):
        breaker.after_ignored(permit, error)
    else:
        breaker.classify_and_report(permit, error)


class Source:
    """The source of an upload, which notes whether it failed.

    Attributes:
        is_broken: Whether the source raised an exception.
    """

    __slots__ = ("is_broken",)

    def __init__(self) -> None:
        self.is_broken = False

    def parts(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Yield the parts of the upload, and note an exception that they raise."""
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
        """Yield the parts of the upload, and note an exception that they raise.

        A cancellation while a part is awaited is not a failure of the source.
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
