"""A circuit breaker whose every state can be replayed, proved and explained.

What is named here is the public interface; the rest of the package is internal.
"""

from recloser.audit.cause import Cause
from recloser.audit.why import why
from recloser.backoff import Constant, Exponential
from recloser.breaker import CircuitBreaker
from recloser.decision import BreakerDecision, CircuitOpenError, Permit
from recloser.clock import Clock, ManualClock, SkewedClock, SystemClock
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
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
from recloser.version import __version__

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
