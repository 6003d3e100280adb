"""A circuit breaker whose every state can be replayed, proved and explained.

What is named here is the public interface; the rest of the package is internal.
"""

from recloser.breaker import BreakerDecision, CircuitBreaker, CircuitOpenError, Permit
from recloser.clock import Clock, ManualClock, SkewedClock, SystemClock
from recloser.config import CircuitBreakerConfig
from recloser.errors import (
    ConfigError,
    DamagedLogError,
    FoldError,
    FutureVersionError,
    LogError,
    NotALogError,
    PermitError,
    RecloserError,
)
from recloser.events import CircuitBreakerState, FiredRule, Outcome, Reason, Rule, Trigger
from recloser.log.memory import MemoryLog
from recloser.log.writer import EventLog
from recloser.snapshot import Snapshot, Totals
from recloser.version import __version__

__all__ = [
    "BreakerDecision",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerState",
    "CircuitOpenError",
    "Clock",
    "ConfigError",
    "DamagedLogError",
    "EventLog",
    "FiredRule",
    "FoldError",
    "FutureVersionError",
    "LogError",
    "ManualClock",
    "MemoryLog",
    "NotALogError",
    "Outcome",
    "Permit",
    "PermitError",
    "Reason",
    "RecloserError",
    "Rule",
    "SkewedClock",
    "Snapshot",
    "SystemClock",
    "Totals",
    "Trigger",
    "__version__",
]
