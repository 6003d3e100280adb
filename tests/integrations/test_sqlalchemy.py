"""A breaker for a database that is locked, goes away and comes back."""

import sqlite3

import pytest
import sqlalchemy
from servers import CONFIG, THROUGH_AN_OUTAGE, go_through_an_outage, replayed, triggers_of
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.pool import NullPool

from recloser import CircuitBreaker, CircuitOpenError, EventLog, MemoryLog
from recloser.integrations.sqlalchemy import protect


class Database:
    """An SQLite file that another connection locks while ``healthy`` is false."""

    def __init__(self, folder):
        self.path = folder / "shop.db"
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        self._healthy = True
        self.requests = 0

    @property
    def healthy(self):
        return self._healthy

    @healthy.setter
    def healthy(self, healthy):
        self.other.execute("ROLLBACK" if healthy else "BEGIN EXCLUSIVE")
        self._healthy = healthy

    def engine(self, **options):
        return sqlalchemy.create_engine(
            f"sqlite:///{self.path}", connect_args={"timeout": 0}, **options
        )


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path)
    yield database
    database.other.close()


def test_locked_database_opens_the_breaker(database, clock, tmp_path):
    engine = database.engine()
    with EventLog(tmp_path / "log", clock=clock) as log:
        with engine.connect() as connection:  # unprotected yet, so that a connection is pooled
            connection.execute(text("SELECT 1"))
        protect(engine, CircuitBreaker("orders", CONFIG, log=log))

        def call():
            with engine.connect() as connection:
                try:
                    connection.execute(text("SELECT count(*) FROM orders")).scalar_one()
                except OperationalError:
                    database.requests += 1
                    return False
                database.requests += 1
                return True

        go_through_an_outage(call, database, clock)
    engine.dispose()
    history = replayed(tmp_path / "log")
    assert triggers_of(history) == THROUGH_AN_OUTAGE
    failed = {event.error for event in history.events if event.kind == "call_failed"}
    assert failed == {"sqlite3.OperationalError"}


def test_database_that_refuses_connections_opens_the_breaker(clock, tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/none/shop.db", poolclass=NullPool)
    breaker = CircuitBreaker("orders", CONFIG, log=MemoryLog(clock=clock))
    protect(engine, breaker)
    for _ in range(3):
        with pytest.raises(OperationalError):
            engine.connect()
    with pytest.raises(CircuitOpenError):
        engine.connect()
    (tmp_path / "none").mkdir()
    clock.advance(seconds=30)
    for _ in range(2):
        engine.connect().close()
    assert breaker.current_state().value == "CLOSED"


def test_violated_constraint_is_a_success(database, clock):
    engine = database.engine()
    breaker = CircuitBreaker("orders", CONFIG, log=MemoryLog(clock=clock))
    protect(engine, breaker)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders VALUES (1)"))
    for _ in range(5):
        with engine.connect() as connection, pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO orders VALUES (1)"))
    engine.dispose()
    totals = breaker.snapshot().totals
    assert totals.failed == 0
    assert totals.succeeded == 7, "a connection and six statements"


def test_is_failure_selects_the_errors_that_are_failures(database, clock):
    engine = database.engine()
    breaker = CircuitBreaker("orders", CONFIG, log=MemoryLog(clock=clock))
    protect(engine, breaker, is_failure=lambda error: "locked" in str(error))
    with engine.connect() as connection, pytest.raises(OperationalError, match="no such table"):
        connection.execute(text("SELECT * FROM nowhere"))
    engine.dispose()
    assert breaker.snapshot().totals.failed == 0


def test_invalid_arguments_of_the_driver_are_ignored(clock):
    """They are no answers of the database, so they do not close a half-open breaker."""
    breaker = CircuitBreaker("orders", CONFIG, clock=clock)
    engine = sqlalchemy.create_engine(
        "sqlite://", connect_args={"no_such_argument": 1}, poolclass=NullPool
    )
    protect(engine, breaker)
    for _ in range(5):
        with pytest.raises(TypeError):
            engine.connect()
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed, totals.succeeded) == (5, 0, 0)
