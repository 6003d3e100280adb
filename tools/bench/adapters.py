"""How the benchmark uses a library: an adapter makes breakers, and each protects a function."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Final, Generic, TypeAlias, TypeVar

from attrs import frozen

from recloser import CircuitBreakerConfig

Call: TypeAlias = Callable[[], object]
AsyncCall: TypeAlias = Callable[[], Awaitable[object]]
C = TypeVar("C")

FEW: Final = 5
"""Consecutive failures that open a breaker in measurements of an open breaker."""

NEVER: Final = 10**9
"""Consecutive failures that would open a breaker in measurements of a closed one."""

OPEN_SECONDS: Final = 3600
"""Seconds that a breaker stays open: longer than any turn."""


class Broken(Exception):  # noqa: N818  # the error of the dependency, not of the benchmark
    """The error that a failing call raises."""


class Unsupported(Exception):  # noqa: N818  # an answer, not an error
    """A library does not support a measurement; the message is the reason."""


@frozen
class Protection(Generic[C]):
    """One breaker, made for one turn.

    Attributes:
        breaker: The breaker object of the library.
        protect: Protects a function, as the documentation of the library shows it.
        refused: The error that a rejected call raises.
        close: Frees what the breaker uses, after the turn.
    """

    breaker: object
    protect: Callable[[C], C]
    refused: type[BaseException]
    close: Callable[[], object] = lambda: None


Maker: TypeAlias = Callable[[int], Protection[C]]
"""Makes a breaker from the number of consecutive failures that open it; it stays open for an hour."""


@frozen
class Adapter:
    """One library, in one of the ways to use it.

    Attributes:
        name: The name in the tables.
        module: The module that its users import.
        sync: Makes a breaker for functions; None if the library has none.
        asynchronous: Makes a breaker for coroutine functions; None if the library has none.
        requirements: What pip installs; by default the name.
        many: Makes a number of breakers in the state after their first call; None to make them one
            by one.
        stretch: The factor by which its turns are longer.
        lost: Returns how many events its log has lost so far; None without a log.
        with_config: For recloser, makes a breaker with any settings.
    """

    name: str
    module: str
    sync: Maker[Call] | None
    asynchronous: Maker[AsyncCall] | None
    requirements: tuple[str, ...] = ()
    many: Callable[[int], object] | None = None
    stretch: int = 1
    lost: Callable[[], int] | None = None
    with_config: Callable[[CircuitBreakerConfig], Protection[Call]] | None = None

    @property
    def counted(self) -> Mapping[str, Callable[[], int]]:
        """The counters of its calls, by name."""
        return {} if self.lost is None else {"lost": self.lost}

    @property
    def distribution(self) -> str:
        """The name of the distribution that pip installs."""
        return self.requirements[0] if self.requirements else self.name

    def is_installed(self) -> bool:
        """Whether the library can be imported here."""
        return find_spec(self.module.partition(".")[0]) is not None


def nothing() -> None:
    """The call that does nothing."""


def broken() -> None:
    """The call that fails."""
    raise Broken


async def nothing_awaited() -> None:
    """The asynchronous call that does nothing."""


async def broken_awaited() -> None:
    """The asynchronous call that fails."""
    raise Broken
