"""A circuit breaker whose every state can be replayed, proved and explained.

The names in ``__all__`` and the modules ``recloser.redis``, ``recloser.arrow``, ``recloser.testing``,
``recloser.compat`` and ``recloser.integrations`` are the public interface. The rest of the package is
internal. Each name is imported when it is first used, so that a service imports only what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import recloser.process.from_sources  # noqa: F401  # before any module that may be compiled
from recloser.version import __version__

if TYPE_CHECKING:
    from recloser.audit.cause import Cause
    from recloser.audit.explanation import why
    from recloser.clock import Clock, ManualClock, SkewedClock, SystemClock
    from recloser.core.backoff import Constant, Exponential
    from recloser.core.config import CircuitBreakerConfig, CountWindow, TimeWindow
    from recloser.core.events import (
        CircuitBreakerState,
        Edge,
        FiredRule,
        Outcome,
        Reason,
        Rule,
        Trigger,
    )
    from recloser.core.snapshot import Snapshot, Totals, WindowCounts
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
    from recloser.history.engine import read_events, replay
    from recloser.history.history import Difference, History
    from recloser.live.breaker import CircuitBreaker
    from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit
    from recloser.live.event_log import EventLog
    from recloser.live.listeners import Listener, LoggingListener
    from recloser.live.memory_log import MemoryLog
    from recloser.live.registry import Breakers
    from recloser.log.reader import LogReader
    from recloser.proof.proof import prove
    from recloser.proof.sensitivity import sensitivity
    from recloser.whatif.evaluation import what_if
    from recloser.whatif.settings_search import tune

_HOMES: Final = {
    "BreakerDecision": "recloser.live.decision",
    "Breakers": "recloser.live.registry",
    "Cause": "recloser.audit.cause",
    "CircuitBreaker": "recloser.live.breaker",
    "CircuitBreakerConfig": "recloser.core.config",
    "CircuitBreakerState": "recloser.core.events",
    "CircuitOpenError": "recloser.live.decision",
    "Clock": "recloser.clock",
    "ConfigError": "recloser.errors",
    "Constant": "recloser.core.backoff",
    "CountWindow": "recloser.core.config",
    "DamagedLogError": "recloser.errors",
    "Difference": "recloser.history.history",
    "Edge": "recloser.core.events",
    "EventLog": "recloser.live.event_log",
    "Exponential": "recloser.core.backoff",
    "FiredRule": "recloser.core.events",
    "FoldError": "recloser.errors",
    "FutureVersionError": "recloser.errors",
    "History": "recloser.history.history",
    "Listener": "recloser.live.listeners",
    "LogError": "recloser.errors",
    "LogReader": "recloser.log.reader",
    "LoggingListener": "recloser.live.listeners",
    "ManualClock": "recloser.clock",
    "MemoryLog": "recloser.live.memory_log",
    "NotALogError": "recloser.errors",
    "Outcome": "recloser.core.events",
    "Permit": "recloser.live.decision",
    "PermitError": "recloser.errors",
    "Reason": "recloser.core.events",
    "RecloserError": "recloser.errors",
    "RecloserWarning": "recloser.errors",
    "Rule": "recloser.core.events",
    "SkewedClock": "recloser.clock",
    "Snapshot": "recloser.core.snapshot",
    "SystemClock": "recloser.clock",
    "TimeWindow": "recloser.core.config",
    "Totals": "recloser.core.snapshot",
    "Trigger": "recloser.core.events",
    "WindowCounts": "recloser.core.snapshot",
    "prove": "recloser.proof.proof",
    "read_events": "recloser.history.engine",
    "replay": "recloser.history.engine",
    "sensitivity": "recloser.proof.sensitivity",
    "tune": "recloser.whatif.settings_search",
    "what_if": "recloser.whatif.evaluation",
    "why": "recloser.audit.explanation",
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
    "LogReader",
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
    "prove",
    "read_events",
    "replay",
    "sensitivity",
    "tune",
    "what_if",
    "why",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
