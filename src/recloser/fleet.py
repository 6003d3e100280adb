"""Deprecated names: import ``recloser.redis`` and ``recloser.arrow`` instead."""

import sys
import warnings
from typing import Final

from recloser import arrow, redis

_MODULES: Final = {"redis": redis, "tables": arrow}

# An import of ``recloser.fleet.redis`` imports this module first, and then finds the submodule here.
for _old, _module in _MODULES.items():
    sys.modules[f"{__name__}.{_old}"] = _module

warnings.warn(
    "recloser.fleet is deprecated: import recloser.redis for RedisLog, recloser.arrow for edges_of",
    DeprecationWarning,
    stacklevel=2,
)
