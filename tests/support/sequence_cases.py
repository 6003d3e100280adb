"""Steps and configurations of the sequences that ``every_sequence`` runs."""

from attrs import frozen
from drawn_settings import SECOND, SLOW_NS

from recloser import CircuitBreakerConfig, CountWindow, Exponential, TimeWindow

STEPS = ("success", "failure", "slow", "ignored", "ask", "tick", "wait", "short", "command")
ENDS = {
    "success": ("succeeded", 0),
    "failure": ("failed", 0),
    "slow": ("succeeded", SLOW_NS + 1),
    "ignored": ("ignored", 0),
}


def _config(**settings):
    return CircuitBreakerConfig(**{"slow_call_seconds": SLOW_NS / SECOND, **settings})


@frozen
class Case:
    """A configuration, and the settings or modes that ``command`` changes to, if any."""

    config: object
    others: tuple = ()
    modes: tuple = ()


def _window(**limits):
    return {"failure_threshold": None, "window": CountWindow(3, **limits)}


CASES = {
    "consecutive failures": Case(_config(failure_threshold=2, half_open_success_threshold=2)),
    "window by failures": Case(_config(**_window(failure_rate=None, failures=2))),
    "window by rate": Case(_config(**_window(failure_rate=0.6, minimum_calls=2))),
    "window by slow rate": Case(
        _config(**_window(failure_rate=None, slow_call_rate=0.5, minimum_calls=2))
    ),
    "time window": Case(
        _config(failure_threshold=None, window=TimeWindow(2, failure_rate=0.5, minimum_calls=2))
    ),
    "half-open window": Case(
        _config(
            failure_threshold=1,
            probe_timeout_seconds=2,
            half_open_window=CountWindow(3, failure_rate=0.6, minimum_calls=2, slow_call_rate=1),
        )
    ),
    "several probes": Case(
        _config(failure_threshold=1, half_open_max_probes=2, half_open_success_threshold=2)
    ),
    "time-outs": Case(
        _config(
            failure_threshold=1,
            half_open_timeout_seconds=3,
            probe_timeout_seconds=2,
            half_open_max_probes=2,
            half_open_success_threshold=2,
        )
    ),
    "zero": Case(
        _config(failure_threshold=2, recovery_timeout_seconds=0, half_open_success_threshold=0)
    ),
    "backoff": Case(
        _config(
            failure_threshold=1,
            recovery_timeout_seconds=1,
            backoff=Exponential(2, 4),
            half_open_success_threshold=1,
        )
    ),
    "other settings": Case(
        _config(failure_threshold=1, half_open_max_probes=2, half_open_success_threshold=2),
        others=(
            _config(
                failure_threshold=2,
                half_open_success_threshold=1,
                half_open_timeout_seconds=3,
                probe_timeout_seconds=2,
            ),
            _config(
                failure_threshold=1,
                half_open_window=CountWindow(2, failure_rate=1),
                recovery_timeout_seconds=1,
            ),
        ),
    ),
    "disabled": Case(
        _config(failure_threshold=1, half_open_timeout_seconds=3, half_open_max_probes=2),
        modes=("disabled", "enforce"),
    ),
    "lost probes": Case(
        _config(
            failure_threshold=1,
            half_open_timeout_seconds=2,
            probe_timeout_seconds=2,
            half_open_window=CountWindow(
                3, failure_rate=None, failures=2, slow_call_rate=1, minimum_calls=3
            ),
        )
    ),
}
"""Configurations by name; the last three exercise rules that ``model`` marks as "silent"."""
