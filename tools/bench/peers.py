"""Adapters for other circuit breaker libraries, used as their own documentation shows.

This module can be imported without any of them: an adapter imports its library when it is used. A
library with several rules is given the one that all have in common, consecutive failures.
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


def _nopanic(failures: int) -> Protection[C]:
    library = import_module("nopanic")
    # It has only rates over time: here, half of the calls of 30 s, once there are enough calls.
    breaker = library.circuit_breaker(
        failure_threshold=0.5,
        min_calls=failures,
        window=30.0,
        reset_timeout=float(OPEN_SECONDS),
        name=_NAME,
    )
    return Protection(breaker, breaker, library.CircuitOpen)


def _pyresilience(failures: int) -> Protection[C]:
    library = import_module("pyresilience")
    config = library.CircuitBreakerConfig(
        failure_threshold=failures, recovery_timeout=float(OPEN_SECONDS)
    )
    protect = library.resilient(circuit_breaker=config)
    return Protection(protect, protect, library.CircuitOpenError)


def _pyresiliences(many: int) -> object:
    """Make breakers, each with the function that it protects, as the library requires it."""
    functions = []
    for _ in range(many):
        protection: Protection[Call] = _pyresilience(FEW)
        functions.append(protection.protect(nothing))
        functions[-1]()
    return functions


def _powertools(failures: int) -> Protection[Call]:
    return _powertools_on(_powertools_store(), failures)


def _powertools_on(store: object, failures: int) -> Protection[Call]:
    library = import_module("aws_lambda_powertools.utilities.circuit_breaker")
    config = library.CircuitBreakerConfig(failure_threshold=failures, recovery_timeout=OPEN_SECONDS)
    name = f"{_NAME}-{next(_numbers)}"  # breakers with one name share their state
    protect = library.circuit_breaker(name, store, config=config)
    return Protection(protect, protect, library.CircuitBreakerOpenError)


def _powertools_store() -> object:
    """A store in memory, because every call would have to wait for the library's own, DynamoDB.

    The base class of all stores does everything that a call needs: it reads the state again once in
    five seconds, and writes it when a breaker opens.
    """
    package = import_module("aws_lambda_powertools.utilities.circuit_breaker.persistence")
    records: dict[str, object] = {}

    def put(_self: object, record: Any, **_conditions: object) -> None:
        records[record.name] = record

    store: object = type(
        "StoreInMemory",
        (package.CircuitBreakerPersistenceLayer,),
        {
            "_get_record": lambda _self, name: records.get(name),
            "_put_record": put,
            "_update_record": put,
        },
    )()
    return store


def _powertools_many(many: int) -> object:
    """Make breakers that share one store, as the documentation of the library shows."""
    store = _powertools_store()
    functions = [_powertools_on(store, FEW).protect(nothing) for _ in range(many)]
    for function in functions:
        function()
    return functions


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
    # It has only rates: here, half of the last hundred calls, once there are a hundred.
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
    name = f"{_NAME}-{next(_numbers)}"  # breakers with one name share their state
    protect = import_module(f"{package}.policy").circuit_breaker(name, config=config)
    return protect, import_module(f"{package}.exceptions").CircuitBreakerOpenError


def _value_of(result: Any) -> object:
    """The value in a result; the library returns a rejection as a result, which is raised here."""
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
    """Keep the library from printing every trip to standard output."""
    with contextlib.suppress(ImportError):
        structlog = import_module("structlog")
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


PEERS: Final = (
    Adapter("circuitbreaker", "circuitbreaker", _circuitbreaker, _circuitbreaker),
    Adapter("purgatory", "purgatory", _purgatory, _purgatory_async, many=_purgatories),
    Adapter("aiobreaker", "aiobreaker", _aiobreaker, _aiobreaker),
    Adapter("pybreaker", "pybreaker", _pybreaker, None),
    Adapter("nopanic", "nopanic", _nopanic, _nopanic),
    Adapter("pyresilience", "pyresilience", _pyresilience, _pyresilience, many=_pyresiliences),
    Adapter(
        "aws-lambda-powertools",
        "aws_lambda_powertools.utilities.circuit_breaker.persistence",
        _powertools,
        None,
        ("aws-lambda-powertools", "boto3"),  # its package of stores imports the one for DynamoDB
        _powertools_many,
    ),
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
"""The circuit breakers for Python that can be installed and that we know of."""
