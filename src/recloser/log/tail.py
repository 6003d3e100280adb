"""How a log, or one segment of it, ends."""

from attrs import frozen

from recloser.core.events import GENESIS


@frozen
class Tail:
    """How a log, or one segment of it, ends.

    Attributes:
        chain: The digest that the next segment is chained to, as lower-case hex.
        unsealed: Number of whole lines after the last seal.
        torn: Number of bytes at the end that are not part of the log, such as a partial line.
    """

    chain: str = GENESIS
    unsealed: int = 0
    torn: int = 0
