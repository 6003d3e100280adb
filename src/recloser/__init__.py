"""A circuit breaker whose every state can be replayed, proved and explained.

What is named here is the public interface; the rest of the package is internal. Each name is
loaded when it is first asked for, so that a service waits for no more than it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import recloser.from_sources  # before any module that may be compiled
import recloser.replay  # noqa: F401  # before its name is a function's
from recloser.version import __version__

if TYPE_CHECKING:
    from recloser.audit.cause import Cause
    from recloser.audit.why import why
    from recloser.backoff import Constant, Exponential
    from recloser.breaker import CircuitBreaker
    from recloser.clock import Clock, ManualClock, SkewedClock, SystemClock
    from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
    from recloser.decision import BreakerDecision, CircuitOpenError, Permit
    from recloser.errors import (
        ConfigError,
        DamagedLogError,
        FoldError,
        FutureVersionError,
        LogError,
        NotALogError,
        PermitError,
        RecloserError,
        RecloserWarning,
    )
    from recloser.events import (
        CircuitBreakerState,
        Edge,
        FiredRule,
        Outcome,
        Reason,
        Rule,
        Trigger,
    )
    from recloser.listeners import Listener, LoggingListener
    from recloser.log.memory import MemoryLog
    from recloser.log.writer import EventLog
    from recloser.registry import Breakers
    from recloser.replay.engine import read_events, replay
    from recloser.replay.history import Difference, History
    from recloser.snapshot import Snapshot, Totals, WindowCounts

_HOMES: Final = {
    "BreakerDecision": "recloser.decision",
    "Breakers": "recloser.registry",
    "Cause": "recloser.audit.cause",
    "CircuitBreaker": "recloser.breaker",
    "CircuitBreakerConfig": "recloser.config",
    "CircuitBreakerState": "recloser.events",
    "CircuitOpenError": "recloser.decision",
    "Clock": "recloser.clock",
    "ConfigError": "recloser.errors",
    "Constant": "recloser.backoff",
    "CountWindow": "recloser.config",
    "DamagedLogError": "recloser.errors",
    "Difference": "recloser.replay.history",
    "Edge": "recloser.events",
    "EventLog": "recloser.log.writer",
    "Exponential": "recloser.backoff",
    "FiredRule": "recloser.events",
    "FoldError": "recloser.errors",
    "FutureVersionError": "recloser.errors",
    "History": "recloser.replay.history",
    "Listener": "recloser.listeners",
    "LogError": "recloser.errors",
    "LoggingListener": "recloser.listeners",
    "ManualClock": "recloser.clock",
    "MemoryLog": "recloser.log.memory",
    "NotALogError": "recloser.errors",
    "Outcome": "recloser.events",
    "Permit": "recloser.decision",
    "PermitError": "recloser.errors",
    "Reason": "recloser.events",
    "RecloserError": "recloser.errors",
    "RecloserWarning": "recloser.errors",
    "Rule": "recloser.events",
    "SkewedClock": "recloser.clock",
    "Snapshot": "recloser.snapshot",
    "SystemClock": "recloser.clock",
    "TimeWindow": "recloser.config",
    "Totals": "recloser.snapshot",
    "Trigger": "recloser.events",
    "WindowCounts": "recloser.snapshot",
    "read_events": "recloser.replay.engine",
    "replay": "recloser.replay.engine",
    "why": "recloser.audit.why",
}

__all__ = [
    "BreakerDecision",
    "Breakers",
    "Cause",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerState",
    "CircuitOpenError",
    "Clock",
    "ConfigError",
    "Constant",
    "CountWindow",
    "DamagedLogError",
    "Difference",
    "Edge",
    "EventLog",
    "Exponential",
    "FiredRule",
    "FoldError",
    "FutureVersionError",
    "History",
    "Listener",
    "LogError",
    "LoggingListener",
    "ManualClock",
    "MemoryLog",
    "NotALogError",
    "Outcome",
    "Permit",
    "PermitError",
    "Reason",
    "RecloserError",
    "RecloserWarning",
    "Rule",
    "SkewedClock",
    "Snapshot",
    "SystemClock",
    "TimeWindow",
    "Totals",
    "Trigger",
    "WindowCounts",
    "__version__",
    "read_events",
    "replay",
    "why",
]

# The package of that name is loaded, and won't be set again; from here on it is the function's.
del globals()["replay"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
