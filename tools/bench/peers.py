"""The peers: how each is used, as its own documentation has it.

None of them has to be installed for this to be imported; what is asked of one imports it. Where a
peer knows several rules, it is given the one that all have in common, a number of failures in a row.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any, Final, TypeVar

from bench.adapters import (
    FEW,
    NEVER,
    OPEN_SECONDS,
    Adapter,
    AsyncCall,
    Call,
    Protection,
    Unsupported,
    nothing,
)

C = TypeVar("C", Call, AsyncCall)

_OPEN: Final = timedelta(seconds=OPEN_SECONDS)
_NAME: Final = "payments"
_numbers: Final = count()


def _circuitbreaker(failures: int) -> Protection[C]:
    library = import_module("circuitbreaker")
    breaker = library.CircuitBreaker(failures, OPEN_SECONDS, name=_NAME)
    return Protection(breaker, breaker, library.CircuitBreakerError)


def _purgatory(failures: int) -> Protection[Call]:
    factory = import_module("purgatory").SyncCircuitBreakerFactory(failures, OPEN_SECONDS)
    return Protection(factory, factory(_NAME), import_module("purgatory.domain.model").OpenedState)


def _purgatory_async(failures: int) -> Protection[AsyncCall]:
    factory = import_module("purgatory").AsyncCircuitBreakerFactory(failures, OPEN_SECONDS)
    return Protection(factory, factory(_NAME), import_module("purgatory.domain.model").OpenedState)


def _purgatories(many: int) -> object:
    factory = import_module("purgatory").SyncCircuitBreakerFactory(FEW, OPEN_SECONDS)
    for number in range(many):
        with factory.get_breaker(f"{_NAME}-{number}"):
            nothing()
    return factory


def _aiobreaker(failures: int) -> Protection[C]:
    library = import_module("aiobreaker")
    breaker = library.CircuitBreaker(failures, _OPEN)
    return Protection(breaker, breaker, library.CircuitBreakerError)


def _pybreaker(failures: int) -> Protection[Call]:
    library = import_module("pybreaker")
    breaker = library.CircuitBreaker(failures, OPEN_SECONDS)
    return Protection(breaker, breaker, library.CircuitBreakerError)


def _resilient_circuit(failures: int) -> Protection[C]:
    if failures == NEVER:
        raise Unsupported("it trips by the share of failures alone, so where all fail it must")
    breaker = import_module("resilient_circuit").CircuitProtectorPolicy(
        resource_key=_NAME, cooldown=_OPEN, failure_limit=Fraction(failures - 1, failures)
    )
    refused = import_module("resilient_circuit.exceptions").ProtectedCallError
    return Protection(breaker, breaker, refused)


def _fluxgate(kind: str) -> Callable[[int], Protection[C]]:
    def make(failures: int) -> Protection[C]:
        library = import_module("fluxgate")
        breaker = getattr(library, kind)(
            tripper=import_module("fluxgate.trippers").FailureStreak(failures),
            retry=import_module("fluxgate.retries").Cooldown(OPEN_SECONDS),
        )
        return Protection(breaker, breaker, library.CallNotPermittedError)

    return make


def _hyx(failures: int) -> Protection[AsyncCall]:
    breaker = import_module("hyx.circuitbreaker").consecutive_breaker(
        failure_threshold=failures, recovery_time_secs=OPEN_SECONDS
    )
    refused = import_module("hyx.circuitbreaker.exceptions").BreakerFailing
    return Protection(breaker, breaker, refused)


def _interlock(failures: int) -> Protection[C]:
    library = import_module("interlock")
    # It knows rates only: here, half of the last hundred calls, once there are so many.
    config = library.Config(
        failure_rate_threshold=0.5,
        minimum_number_of_calls=failures,
        wait_duration_in_open=float(OPEN_SECONDS),
    )
    breaker = library.CircuitBreaker(name=_NAME, config=config)
    return Protection(breaker, breaker, library.CircuitOpenError)


def _baldur(failures: int) -> Protection[Call]:
    protect, refused = _baldur_decorator(failures)

    def raising(function: Call) -> Call:
        protected = protect(function)

        @wraps(function)
        def call() -> object:
            return _value_of(protected())

        return call

    return Protection(protect, raising, refused)


def _baldur_async(failures: int) -> Protection[AsyncCall]:
    protect, refused = _baldur_decorator(failures)

    def raising(function: AsyncCall) -> AsyncCall:
        protected = protect(function)

        @wraps(function)
        async def call() -> object:
            return _value_of(await protected())

        return call

    return Protection(protect, raising, refused)


def _baldur_decorator(failures: int) -> tuple[Callable[..., Any], type[BaseException]]:
    """The breaker alone, without the retries and dead letters of the decorator around it."""
    _silence_baldur()
    package = "baldur.services.circuit_breaker"
    config = import_module(f"{package}.config").CircuitBreakerConfig(
        failure_threshold=failures, recovery_timeout=OPEN_SECONDS, failure_rate_threshold=0
    )
    name = f"{_NAME}-{next(_numbers)}"  # those of one name are one
    protect = import_module(f"{package}.policy").circuit_breaker(name, config=config)
    return protect, import_module(f"{package}.exceptions").CircuitBreakerOpenError


def _value_of(result: Any) -> object:
    """What a call came to, of which a refusal is handed back as a result."""
    if result.error is not None:
        raise result.error
    return result.value


def _baldurs(many: int) -> object:
    _silence_baldur()
    policy = import_module("baldur.services.circuit_breaker.policy").CircuitBreakerPolicy
    policies = [policy(f"{_NAME}-{number}") for number in range(many)]
    for each in policies:
        each.execute(nothing)
    return policies


def _silence_baldur() -> None:
    """It would tell of each trip on standard output."""
    with contextlib.suppress(ImportError):
        structlog = import_module("structlog")
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


PEERS: Final = (
    Adapter("circuitbreaker", "circuitbreaker", _circuitbreaker, _circuitbreaker),
    Adapter(
        "purgatory",
        "purgatory",
        _purgatory,
        _purgatory_async,
        ("purgatory-circuitbreaker", "setuptools<81"),  # it imports pkg_resources
        _purgatories,
    ),
    Adapter("aiobreaker", "aiobreaker", _aiobreaker, _aiobreaker),
    Adapter("pybreaker", "pybreaker", _pybreaker, None),
    Adapter("hyx", "hyx.circuitbreaker", None, _hyx),
    Adapter("resilient-circuit", "resilient_circuit", _resilient_circuit, _resilient_circuit),
    Adapter("interlock", "interlock", _interlock, _interlock, ("interlock-cb",)),
    Adapter("fluxgate", "fluxgate", _fluxgate("CircuitBreaker"), _fluxgate("AsyncCircuitBreaker")),
    Adapter(
        "baldur",
        "baldur.services.circuit_breaker.policy",
        _baldur,
        _baldur_async,
        ("baldur-framework",),
        _baldurs,
    ),
)
"""The breakers for Python that can be installed, as far as they are known to us."""
