"""A logging handler may call breakers of the very log that a record is about."""

import logging
import signal
import threading

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, MemoryLog
from recloser.log import disk

PATIENCE_SECONDS = 20


class ShippingHandler(logging.Handler):
    """Sends records through a breaker; the send fails, or the breaker refuses it."""

    def __init__(self, log):
        super().__init__()
        self.log = log
        self.breaker = CircuitBreaker(
            "shipping", CircuitBreakerConfig(failure_threshold=2), log=log
        )
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())
        decision = self.breaker.before_call()
        if decision.permit is not None:
            self.breaker.after_failure(decision.permit, "ConnectionError")
        self.breaker.call(int) if self.breaker.current_state().value == "CLOSED" else None
        self.breaker.snapshot()
        self.log.flush()
        if isinstance(self.log, EventLog):
            self.log.health()
        CircuitBreaker("made by the handler", log=self.log)


@pytest.fixture(autouse=True)
def no_other_handlers(caplog):
    """The handlers of the test run are called too, and note every record."""
    caplog.set_level(logging.WARNING)


def answers(work):
    """Whether some work comes back."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return not thread.is_alive()


@pytest.fixture
def ship():
    """Has records shipped through a breaker on a log."""
    logger = logging.getLogger("recloser")
    handlers = []

    def begin(log):
        handlers.append(ShippingHandler(log))
        logger.addHandler(handlers[-1])
        return handlers[-1]

    yield begin
    for handler in handlers:
        logger.removeHandler(handler)


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_warning_of_a_closed_log_may_be_shipped_through_it(tmp_path, ship, durability):
    log = EventLog(tmp_path / "log", durability=durability)
    payments = CircuitBreaker("payments", log=log)
    handler = ship(log)
    assert answers(log.close)
    assert answers(lambda: payments.call(int))
    assert answers(lambda: fail(payments))
    assert answers(payments.snapshot)
    assert [message.rpartition(": ")[2] for message in handler.messages] == [
        "the log is closed; calls go on, and are not recorded"
    ]


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_error_of_a_disk_may_be_shipped_through_its_log(tmp_path, ship, durability, monkeypatch):
    log = EventLog(tmp_path / "log", durability=durability)
    payments = CircuitBreaker("payments", log=log)
    handler = ship(log)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "write", full)
        assert answers(lambda: fail(payments, 5))
        assert answers(log.flush)
        assert log.health().failure == "No space left on device"
        assert answers(payments.snapshot)
    assert answers(log.flush)
    assert log.health().failure is None
    assert answers(log.close)
    assert any("can't be written" in message for message in handler.messages)
    assert any("the log goes on" in message for message in handler.messages)


def test_error_of_a_predicate_may_be_shipped_through_its_log(ship):
    log = MemoryLog()

    def broken(_error):
        raise LookupError

    payments = CircuitBreaker("payments", CircuitBreakerConfig(record=[broken]), log=log)
    handler = ship(log)

    def call():
        with pytest.raises(OSError, match="down"):
            payments.call(down)

    assert answers(call)
    assert handler.messages == ["a predicate on exceptions raised; it matches nothing"]
    assert payments.snapshot().totals.succeeded == 1


def down():
    raise OSError("down")


class RaisingHandler(logging.Handler):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def emit(self, _record):
        raise self.error


@pytest.fixture
def raising():
    """A handler that raises."""
    handler = RaisingHandler(LookupError("a bug of the handler"))
    logging.getLogger("recloser").addHandler(handler)
    yield handler
    logging.getLogger("recloser").removeHandler(handler)


@pytest.mark.usefixtures("raising")
def test_handler_that_raises_on_a_closed_log_breaks_no_call(tmp_path):
    log = EventLog(tmp_path / "log")
    payments = CircuitBreaker("payments", log=log)
    log.close()
    assert payments.call(int) == 0
    fail(payments, 3)
    assert payments.snapshot().totals.failed == 3


@pytest.mark.usefixtures("raising")
def test_handler_that_raises_on_a_predicates_error_loses_no_outcome():
    def broken(_):
        raise ValueError

    config = CircuitBreakerConfig(ignore=[broken], failure_result=broken)
    payments = CircuitBreaker("payments", config)
    with pytest.raises(OSError, match="down"):
        payments.call(down)
    assert payments.call(int) == 0
    totals = payments.snapshot().totals
    assert (totals.succeeded, totals.failed) == (1, 1)


class SoftTimeLimitError(Exception):
    pass


def test_exception_of_a_signal_handler_in_a_logging_handler_goes_on(tmp_path, raising, monkeypatch):
    def give_up(*_):
        raise SoftTimeLimitError

    log = EventLog(tmp_path / "log")
    payments = CircuitBreaker("payments", log=log)
    log.close()
    before = signal.signal(signal.SIGALRM, give_up)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(raising, "emit", lambda _record: signal.raise_signal(signal.SIGALRM))
            with pytest.raises(SoftTimeLimitError):
                fail(payments)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert payments.snapshot().totals.failed == 1
