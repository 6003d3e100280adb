"""A breaker for a database, by the events of a SQLAlchemy engine.

The breaker is asked before new connections and before statements, but not before a commit or rollback,
which ends what a statement began. Failures are the driver's ``OperationalError``, ``InterfaceError`` and
``InternalError``, and lost connections. Other errors of the driver, such as a violated constraint, are
answers and thus successes. Errors that are not the driver's, such as a ``TypeError`` for a wrong
argument of a connection, are ignored.
"""

from collections.abc import Callable
from typing import Any, Final

from recloser.integrations import needs
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import Permit

with needs("sqlalchemy", extra="sqlalchemy"):
    from sqlalchemy import event
    from sqlalchemy.engine import Connection, Dialect, Engine, ExceptionContext, ExecutionContext

__all__ = ["protect"]

_KEY: Final = "recloser_permit"
_DATABASE_FAILURES: Final = frozenset({"OperationalError", "InterfaceError", "InternalError"})


def protect(
    engine: Engine,
    breaker: CircuitBreaker,
    *,
    is_failure: Callable[[BaseException], bool] | None = None,
) -> Engine:
    """Ask a breaker before each connection and statement of an engine.

    A rejected one raises CircuitOpenError. For an asynchronous engine, pass its ``sync_engine``.

    Args:
        engine: The engine.
        breaker: The breaker.
        is_failure: Returns whether an error of the driver is a failure of the database; by default,
            OperationalError, InterfaceError and InternalError are. SQLite's errors are coarse: a
            missing table is an ``OperationalError``.

    Returns:
        The engine.
    """
    listener = _EngineListener(breaker, _is_database_failure if is_failure is None else is_failure)
    event.listen(engine, "do_connect", listener.connect)
    event.listen(engine, "before_cursor_execute", listener.before)
    event.listen(engine, "after_cursor_execute", listener.after)
    event.listen(engine, "handle_error", listener.failed)
    return engine


def _is_database_failure(error: BaseException) -> bool:
    """Return whether PEP 249 defines an error as a failure of the database."""
    return any(kind.__name__ in _DATABASE_FAILURES for kind in type(error).__mro__)


def _is_drivers(error: BaseException) -> bool:
    """Return whether an error is the driver's.

    PEP 249 derives all errors of a driver from a class ``Error``.
    """
    return any(kind.__name__ == "Error" for kind in type(error).__mro__)


class _EngineListener:
    def __init__(
        self, breaker: CircuitBreaker, is_failure: Callable[[BaseException], bool]
    ) -> None:
        self._breaker = breaker
        self._is_failure = is_failure

    def connect(
        self, dialect: Dialect, _record: object, arguments: list[Any], keywords: dict[str, Any]
    ) -> Any:
        permit = self._breaker.admit()
        try:
            connection = dialect.connect(*arguments, **keywords)
        except BaseException as error:
            self._report_error(permit, error, is_lost=False)
            raise
        self._breaker.after_success(permit)
        return connection

    def before(
        self,
        connection: Connection,
        _cursor: object,
        _statement: str,
        _parameters: object,
        _context: ExecutionContext | None,
        _many: bool,
    ) -> None:
        connection.info[_KEY] = self._breaker.admit()

    def after(
        self,
        connection: Connection,
        _cursor: object,
        _statement: str,
        _parameters: object,
        _context: ExecutionContext | None,
        _many: bool,
    ) -> None:
        permit = connection.info.pop(_KEY, None)
        if permit is not None:
            self._breaker.after_success(permit)

    def failed(self, context: ExceptionContext) -> None:
        connection = context.connection
        if connection is None or connection.invalidated:
            return
        permit = connection.info.pop(_KEY, None)
        if permit is not None:
            self._report_error(permit, context.original_exception, is_lost=context.is_disconnect)

    def _report_error(self, permit: Permit, error: BaseException, *, is_lost: bool) -> None:
        if not isinstance(error, Exception):
            self._breaker.after_ignored(permit, error)
        elif is_lost or self._is_failure(error):
            self._breaker.after_failure(permit, error)
        elif _is_drivers(error):
            self._breaker.after_success(permit)
        else:
            self._breaker.after_ignored(permit, error)
