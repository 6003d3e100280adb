"""The process of the demo that calls the service through a breaker.

It prints one line per call, ``STATE OUTCOME RETRY_AFTER``, and ends at the end of its standard input.
If the log cannot be written, it prints ``failed: `` and the reason.
"""

import sys
import threading
import urllib.error
import urllib.request
from typing import Final

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, RecloserError

BREAKER: Final = "quotes"
CONFIG: Final = CircuitBreakerConfig(failure_threshold=5, recovery_timeout_seconds=2)
FAILED: Final = "failed: "
"""The beginning of a line that reports why no calls are made."""

_PAUSE_SECONDS: Final = 0.03


def main() -> None:
    """Call the service; the command-line arguments are those of ``call_repeatedly``."""
    try:
        call_repeatedly(*sys.argv[1:])
    except RecloserError as error:
        print(f"{FAILED}{error}", flush=True)  # noqa: T201  # read by ``play``


def call_repeatedly(path: str, url: str, host: str | None = None) -> None:
    """Call a URL until standard input ends.

    Args:
        path: The folder of the log.
        url: The URL of the service.
        host: The host name to record; by default the machine's name.
    """
    stopping = threading.Event()
    threading.Thread(target=_await_end_of_input, args=(stopping,), daemon=True).start()
    with EventLog(path, host=host) as log:
        breaker = CircuitBreaker(BREAKER, CONFIG, log=log)
        snapshot = breaker.snapshot()
        _print_call(breaker, "started", snapshot.retry_after)
        while not stopping.wait(_PAUSE_SECONDS):
            _call(breaker, url)


def _call(breaker: CircuitBreaker, url: str) -> None:
    decision = breaker.before_call()
    if not decision.allowed:
        _print_call(breaker, "rejected", decision.retry_after)
        return
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310  # the demo's own URL
            response.read()
    except (urllib.error.URLError, OSError) as error:
        breaker.after_failure(decision.permit, error)
        _print_call(breaker, "failed", None)
    else:
        breaker.after_success(decision.permit)
        _print_call(breaker, "succeeded", None)


def _print_call(breaker: CircuitBreaker, outcome: str, retry_after: float | None) -> None:
    wait = "-" if retry_after is None else f"{retry_after:.3f}"
    print(breaker.current_state().value, outcome, wait, flush=True)  # noqa: T201  # read by ``play``


def _await_end_of_input(stopping: threading.Event) -> None:
    sys.stdin.read()
    stopping.set()
