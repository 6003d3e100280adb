"""The tail of a log: how it ends."""

from attrs import frozen

from recloser.core.events import GENESIS


@frozen
class Tail:
    """How a log, or one segment of it, ends.

    Attributes:
        chain: The digest that the next segment is chained to.
        unsealed: Whole lines behind the last seal.
        torn: Bytes of a last line that was not written whole.
    """

    chain: str = GENESIS
    unsealed: int = 0
    torn: int = 0
