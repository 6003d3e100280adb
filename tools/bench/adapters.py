"""What a breaker is to the benchmark: something that protects a function."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Final, Generic, TypeAlias, TypeVar

from attrs import frozen

from recloser import CircuitBreakerConfig

Call: TypeAlias = Callable[[], object]
AsyncCall: TypeAlias = Callable[[], Awaitable[object]]
C = TypeVar("C")

FEW: Final = 5
"""So many failures open a breaker, where it is to open."""

NEVER: Final = 10**9
"""And so many, where it is not."""

OPEN_SECONDS: Final = 3600
"""How long a breaker that has opened stays so: longer than any turn."""


class Broken(Exception):  # noqa: N818  # it is what the dependency raises, not an error of ours
    """What a call that fails raises."""


class Unsupported(Exception):  # noqa: N818  # it is an answer
    """Why a breaker can't be asked for something."""


@frozen
class Protection(Generic[C]):
    """One breaker, made for one turn.

    Attributes:
        breaker: What the library keeps of it.
        protect: Protects a function, in the way that the library's own documentation has it.
        refused: What a rejected call raises.
        close: Clears up behind it.
    """

    breaker: object
    protect: Callable[[C], C]
    refused: type[BaseException]
    close: Callable[[], object] = lambda: None


Maker: TypeAlias = Callable[[int], Protection[C]]
"""Makes a breaker that opens at so many failures in a row, and stays open for an hour."""


@frozen
class Adapter:
    """One library, in one of the ways to use it.

    Attributes:
        name: What it is called in the tables.
        module: What is imported by who uses it.
        sync: Makes a breaker for functions; None if it has none.
        asynchronous: Makes one for coroutine functions; None if it has none.
        requirements: What pip is to install; by default its name.
        many: Makes so many breakers, each as after its first call; where that takes another way
            than to make them one by one.
        stretch: How many times as long its turns are.
        lost: Returns how many calls its log has lost so far, where it has one.
        with_config: Of a way to use recloser, makes a breaker with any settings.
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
        """Counters of its calls, by name."""
        return {} if self.lost is None else {"lost": self.lost}

    @property
    def distribution(self) -> str:
        """The name that it is installed by."""
        return self.requirements[0] if self.requirements else self.name

    def is_installed(self) -> bool:
        """Whether it can be imported here."""
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
