"""Scans: what is found once over all calls of a breaker, for every setting to be tried on them.

Where numpy is installed the scans are its, over the columns as they stand; else they go call by
call, and come to the same. A column is a buffer of whole numbers of 64 bits, or a ``range``; an
outcome is a byte.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

VECTORISED: Final = find_spec("numpy") is not None
"""Whether numpy does the scans."""

if TYPE_CHECKING or VECTORISED:
    from recloser.replay.scans.vectorised import (
        codes_taken,
        count_before,
        ended_before,
        highest_so_far,
        inverse,
        kept,
        order_of_ends,
        order_of_starts,
        places_from,
        places_of,
        taken,
    )
else:
    from recloser.replay.scans.plain import (
        codes_taken,
        count_before,
        ended_before,
        highest_so_far,
        inverse,
        kept,
        order_of_ends,
        order_of_starts,
        places_from,
        places_of,
        taken,
    )

__all__ = [
    "VECTORISED",
    "codes_taken",
    "count_before",
    "ended_before",
    "highest_so_far",
    "inverse",
    "kept",
    "order_of_ends",
    "order_of_starts",
    "places_from",
    "places_of",
    "taken",
]
