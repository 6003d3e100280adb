"""No code of a user, and no logging, runs while a lock of the package is held."""

import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import contextmanager, suppress

import pytest
from audited_locks import audit_locks, watched, watched_type

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    ConfigError,
    CountWindow,
    EventLog,
    Listener,
    ManualClock,
    MemoryLog,
    RecloserError,
)
from recloser.compat import circuitbreaker, pybreaker
from recloser.live.memory_log import NoLog
from recloser.log import disk
from recloser.sharing.redis_log import RedisLog


@pytest.fixture
def audit(monkeypatch):
    found = audit_locks(monkeypatch)
    yield found
    assert found.acquisitions
    assert not found.violations, "\n".join(found.violations[:3])


@pytest.fixture
def user(audit, monkeypatch):
    """A user whose objects, log handlers and warnings note every call of theirs."""
    made = User(audit)
    handlers = {name: _Handler(audit, name) for name in ("root", "recloser")}
    for name, handler in handlers.items():
        logger = logging.getLogger(None if name == "root" else name)
        monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
        monkeypatch.setattr(logger, "filters", [*logger.filters, _Filter(audit)])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *_: audit.note("showwarning"))
        yield made


class _Handler(logging.Handler):
    def __init__(self, audit, name):
        super().__init__()
        self._audit = audit
        self._what = f"handler of {name}"

    def emit(self, record):
        self.format(record)
        self._audit.note(self._what)


class _Filter(logging.Filter):
    def __init__(self, audit):
        super().__init__()
        self._audit = audit

    def filter(self, record):
        self._audit.note("filter")
        return True


class User:
    """Objects that a user gives to breakers."""

    def __init__(self, audit):
        self.audit = audit
        self.text = watched(audit, str)
        self.int = watched(audit, int)
        self.float = watched(audit, float)
        self.result = watched(audit, object, "result", __bool__=lambda _: True)()
        self.error_type = watched_type(audit)(
            "WatchedError", (watched(audit, Exception, "error", __bool__=lambda _: True),), {}
        )
        self.path_type = watched(audit, _Path, "path")
        self.mapping_type = watched(audit, _Settings, "mapping")
        self.iterable_type = watched(audit, list, "iterable")

    def fail(self):
        raise self.error_type(self.text("down"))

    def predicate(self, name, answer):
        def ask(_self, *_of):
            if isinstance(answer, Exception):
                raise answer
            return answer

        return watched(self.audit, object, name, __call__=ask)()

    def listener(self, name, *, inline=False, raises=False):
        def hear(_self, event):
            repr(event)
            if raises:
                raise self.error_type(self.text("a bug"))

        listening = watched(self.audit, Listener, name, on_event=hear, on_transition=hear)
        for option in ("inline", "hears_successes", "hears_refusals"):
            setattr(listening, option, _noted_option(self.audit, f"{name}.{option}", answer=inline))
        return listening()

    def listeners(self):
        return self.iterable_type(
            [
                self.listener("listener"),
                self.listener("inline listener", inline=True),
                self.listener("raising listener", raises=True),
                self.listener("raising inline listener", inline=True, raises=True),
            ]
        )

    def settings(self, threshold=2):
        return self.mapping_type(
            {
                self.text("failure_threshold"): self.int(threshold),
                self.text("recovery_timeout_seconds"): self.float(1.5),
                self.text("half_open_success_threshold"): self.int(1),
                self.text("slow_call_seconds"): self.float(0.5),
                self.text("closed_early"): self.text("ignored"),
                self.text("mode"): self.text("enforce"),
                self.text("window"): CountWindow(self.int(10), failure_rate=self.float(0.9)),
                self.text("record"): [
                    self.predicate("raising record", ValueError("a bug")),
                    self.predicate("record", answer=False),
                    self.error_type,
                ],
                self.text("ignore"): [
                    self.predicate("raising ignore", ValueError("a bug")),
                    self.predicate("ignore", answer=False),
                ],
                self.text("failure_result"): self.predicate("failure_result", answer=False),
            }
        )


class _Settings(Mapping):
    def __init__(self, settings):
        self._settings = settings

    def __getitem__(self, name):
        return self._settings[name]

    def __iter__(self):
        return iter(self._settings)

    def __len__(self):
        return len(self._settings)


class _Path:
    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return self._path


os.PathLike.register(_Path)


def _clock(audit):
    """Make a clock that notes calls other than readings, which order events under the lock."""
    asked = ("__bool__", "__eq__", "__hash__")
    answers = {"__bool__": lambda _: True, "__eq__": object.__eq__, "__hash__": object.__hash__}
    noted = watched(audit, object, "clock", **answers)
    return type("WatchedClock", (ManualClock,), {name: vars(noted)[name] for name in asked})()


def _noted_option(audit, what, *, answer):
    def read(_self):
        audit.note(what)
        return answer

    return property(read)


def drive(user, log, clock):
    """Use every feature of breakers on one log, with objects of the user."""
    registry = Breakers(
        user.predicate("settings function", user.settings()),
        log=log,
        clock=clock,
        listeners=user.listeners(),
        max_size=user.int(3),
    )
    breaker = registry[user.text("bank")]
    for name in ("second", "third", "fourth", "fifth"):
        registry[user.text(name)].call(lambda: user.result)
    assert registry.get(user.text("bank")) is breaker
    outage(user, breaker, clock)
    operate(user, breaker, clock)
    iterate(user, breaker)
    plain = CircuitBreaker(
        user.text("plain"),
        CircuitBreakerConfig(failure_threshold=user.int(3)),
        log=log,
        clock=clock,
    )
    for _ in range(300):
        plain.call(lambda: user.result)
        clock.advance(seconds=0.01)
    outage(user, plain, clock)
    breaker.flush()
    if log is not None:
        give_other_settings(user, log)


def outage(user, breaker, clock):
    protected = breaker(user.fail)
    for _ in range(4):
        with suppress(user.error_type, CircuitOpenError):
            protected()
        with suppress(user.error_type, CircuitOpenError), breaker:
            user.fail()
    clock.advance(seconds=60)
    for _ in range(2):
        with suppress(CircuitOpenError):
            breaker.call(lambda: user.result)
    breaker.snapshot()


def operate(user, breaker, clock):
    by = {"actor": user.text("ops"), "reason": user.text("a test")}
    for mode in ("shadow", "disabled", "enforce"):
        breaker.set_mode(user.text(mode), **by)
        breaker.after_failure(breaker.before_call().permit, user.text("TimeoutError"))
        breaker.after_failure(breaker.before_call().permit, user.error_type(user.text("down")))
        breaker.reset(**by)
    breaker.force_open(**by)
    for _ in range(200):
        assert not breaker.before_call().allowed
    clock.advance(seconds=2)
    breaker.force_closed(**by)
    breaker.after_success(breaker.before_call().permit, took_ns=user.int(10**9))
    breaker.after_ignored(breaker.before_call().permit, user.error_type(user.text("left")))
    with suppress(ConfigError):
        breaker.set_mode(user.text("none of them"))
    with suppress(ConfigError):
        breaker.after_success(breaker.before_call().permit, took_ns=user.int(-1))


def iterate(user, breaker):
    @breaker
    def items():
        yield user.result
        yield user.result

    for _ in items():
        pass
    for _ in items():
        break


def give_other_settings(user, log):
    for choice in ("follow", "replace", "raise"):
        with suppress(ConfigError):
            CircuitBreaker(
                user.text("bank"),
                user.settings(threshold=4 + len(choice)),
                log=log,
                on_other_config=user.text(choice),
            )


NEEDED = {
    "failure_result.__call__",
    "filter",
    "handler of recloser",
    "handler of root",
    "ignore.__call__",
    "inline listener.inline",
    "inline listener.on_event",
    "iterable.__iter__",
    "listener.on_event",
    "listener.on_transition",
    "mapping.__getitem__",
    "raising inline listener.on_event",
    "raising listener.on_event",
    "raising record.__call__",
    "record.__call__",
    "settings function.__call__",
    "type.__instancecheck__",
}


@pytest.mark.parametrize("make", [NoLog, MemoryLog, lambda: MemoryLog(detail="runs")])
def test_breakers_on_a_memory_log_call_no_user_code_under_a_lock(user, make):
    log = make()
    drive(user, log, _clock(user.audit))
    log.close()
    assert set(user.audit.calls) >= NEEDED
    assert user.audit.calls["showwarning"]


def test_breakers_without_a_log_call_no_user_code_under_a_lock(user):
    drive(user, None, _clock(user.audit))
    assert set(user.audit.calls) >= NEEDED


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"durability": "sync"},
        {"detail": "runs"},
        {"segment_bytes": 4000, "keep_bytes": 20_000},
        {"durability": "sync", "detail": "runs", "segment_bytes": 4000},
    ],
    ids=str,
)
def test_breakers_on_an_event_log_call_no_user_code_under_a_lock(
    user, tmp_path, monkeypatch, options
):
    texts = {name: user.text(value) for name, value in options.items() if isinstance(value, str)}
    clock = _clock(user.audit)
    log = EventLog(
        user.path_type(user.text(tmp_path / "log")),
        clock=clock,
        host=user.text("host"),
        tick_seconds=user.float(1.0),
        **{**options, **texts},
    )
    drive(user, log, clock)
    bank = CircuitBreaker("bank", log=log)
    with failing(monkeypatch):
        outage(user, bank, clock)
        log.flush()
    outage(user, bank, clock)
    log.flush()
    log.close()  # waits for the housekeeping of full segments, which has failed before
    assert log.health().failure is None
    outage(user, bank, clock)  # a closed log warns of the first call
    assert set(user.audit.calls) >= NEEDED | {"path.__fspath__"}


@contextmanager
def failing(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "write", full)
        yield


def test_breakers_of_an_unreachable_stream_call_no_user_code_under_a_lock(user):
    clock = _clock(user.audit)
    log = RedisLog(
        user.text("redis://127.0.0.1:1/0"),
        stream=user.text("s"),
        host=user.text("host"),
        clock=clock,
        timeout_seconds=user.float(0.05),
        claim_seconds=user.float(0.05),
    )
    drive(user, log, clock)
    log.close()
    assert set(user.audit.calls) >= NEEDED


@pytest.mark.parametrize("policy", ["follow", "replace", "raise"])
def test_breakers_of_a_stream_call_no_user_code_under_a_lock(own_redis, user, stream, policy):
    clock = _clock(user.audit)
    log = RedisLog(
        user.text(own_redis.url), stream=stream, clock=clock, on_other_config=user.text(policy)
    )
    with suppress(ConfigError):
        drive(user, log, clock)
    with RedisLog(own_redis.url, stream=stream, clock=clock, on_other_config=policy) as other:
        for threshold in (2, 3):
            with suppress(ConfigError):
                CircuitBreaker(user.text("bank"), user.settings(threshold), log=other)
    log.close()


@pytest.mark.parametrize("make", [lambda _: None, lambda _: MemoryLog(), EventLog])
def test_compatible_breakers_call_no_user_code_under_a_lock(user, tmp_path, make):
    audit, clock, log = user.audit, _clock(user.audit), make(tmp_path / "log")
    listening = watched(audit, pybreaker.CircuitBreakerListener, "listener of pybreaker")
    like_pybreaker = pybreaker.CircuitBreaker(
        user.int(2),
        user.float(1.5),
        exclude=[user.predicate("exclude", answer=False)],
        listeners=[listening()],
        name=user.text("bank"),
        log=log,
        clock=clock,
    )
    like_circuitbreaker = circuitbreaker.CircuitBreaker(
        user.int(2),
        user.float(1.5),
        user.error_type,
        user.text("till"),
        user.predicate("fallback", answer=user.result),
        log=log,
        clock=clock,
    )
    for breaker in (like_pybreaker, like_circuitbreaker):
        protected = breaker(user.fail)
        for _ in range(5):
            with suppress(user.error_type, RecloserError):
                protected()
        clock.advance(seconds=60)
        with suppress(RecloserError):
            breaker.call(lambda: user.result)
        str(breaker)
    if log is not None:
        log.close()
    assert set(audit.calls) >= {
        "exclude.__call__",
        "fallback.__call__",
        "listener of pybreaker.before_call",
        "listener of pybreaker.failure",
        "listener of pybreaker.state_change",
        "listener of pybreaker.success",
        "type.__subclasscheck__",
    }


def test_audit_finds_user_code_that_is_called_under_a_lock(monkeypatch):
    """A listener, and a string that is compared, are called while a sequencer holds its lock."""
    audit = audit_locks(monkeypatch)
    user = User(audit)
    breaker = CircuitBreaker("b", log=MemoryLog())
    listener = user.listener("listener")
    assert not audit.violations
    breaker._sequencer.hold(lambda: listener.on_event(None), lambda: None)
    assert "listener.on_event was called under a lock" in audit.violations[-1]
    breaker._sequencer.hold(lambda: user.text("a") == "a", lambda: None)
    assert "str.__eq__ was called under a lock" in audit.violations[-1]
