"""Context variables are set safely wherever garbage may be collected."""

import subprocess
import sys
from contextvars import Context, ContextVar, copy_context

from recloser.core.backoff import Exponential
from recloser.core.validation import nanoseconds
from recloser.process.contexts import set_in_context

COLLECTED_ANYWHERE = """
import gc
from recloser import CircuitBreaker, CircuitBreakerConfig

gc.set_threshold(5, 100, 100)
breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=None))

class Session:
    def __init__(self):
        self.me = self

    def __del__(self):
        with breaker:
            pass
        breaker.after_failure(breaker.before_call().permit)

for _ in range(40_000):
    Session()
    with breaker:
        pass
    breaker.after_failure(breaker.before_call().permit)
print("whole")
"""


def test_value_is_set_in_this_context():
    variable = ContextVar("variable", default=0)
    set_in_context(variable, 1)
    assert variable.get() == 1


def test_breakers_used_by_garbage_do_not_crash_the_process():
    """A crash of the interpreter can only be seen from another process."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECTED_ANYWHERE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_seconds_and_backoff_set_no_variable_of_the_caller():
    """Operators of ``decimal`` set a context variable if the caller has none."""

    def variables():
        Exponential(factor=1.5, max_seconds=60).wait_ns(nanoseconds(0.25), 3)
        return list(copy_context())

    assert Context().run(variables) == []
