"""A breaker for a database: the events of a SQLAlchemy engine.

Asked are new connections and statements. A failure is what says that the database is not well: the
driver's ``OperationalError``, ``InterfaceError`` or ``InternalError``, or a connection that was
lost. Other errors of the driver, such as a violated constraint, are answers, and so successes. What
is no error of the driver, such as a ``TypeError`` about the arguments of a connection, is ignored.
A commit or rollback is not asked for: it ends what a statement began.
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
_UNWELL: Final = frozenset({"OperationalError", "InterfaceError", "InternalError"})


def protect(
    engine: Engine,
    breaker: CircuitBreaker,
    *,
    is_failure: Callable[[BaseException], bool] | None = None,
) -> Engine:
    """Have ``breaker`` asked before each connection and statement of ``engine``.

    A refused one raises CircuitOpenError. Of an asynchronous engine give the ``sync_engine``.

    Args:
        engine: The engine.
        breaker: Who is asked.
        is_failure: Whether an error of the driver is a failure of the database; by default by its
            kind, as said above. SQLite's kinds are coarse: a missing table is an
            ``OperationalError`` there.

    Returns:
        The engine.
    """
    listener = _EngineListener(breaker, _is_unwell if is_failure is None else is_failure)
    event.listen(engine, "do_connect", listener.connect)
    event.listen(engine, "before_cursor_execute", listener.before)
    event.listen(engine, "after_cursor_execute", listener.after)
    event.listen(engine, "handle_error", listener.failed)
    return engine


def _is_unwell(error: BaseException) -> bool:
    """Whether a driver's error is of the kinds of PEP 249 that are about the database itself."""
    return any(kind.__name__ in _UNWELL for kind in type(error).__mro__)


def _is_of_the_driver(error: BaseException) -> bool:
    """Whether an error is one of PEP 249: every driver derives them from its own ``Error``."""
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
            self._settle(permit, error, is_lost=False)
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
            self._settle(permit, context.original_exception, is_lost=context.is_disconnect)

    def _settle(self, permit: Permit, error: BaseException, *, is_lost: bool) -> None:
        if not isinstance(error, Exception):
            self._breaker.after_ignored(permit, error)
        elif is_lost or self._is_failure(error):
            self._breaker.after_failure(permit, error)
        elif _is_of_the_driver(error):
            self._breaker.after_success(permit)
        else:
            self._breaker.after_ignored(permit, error)
