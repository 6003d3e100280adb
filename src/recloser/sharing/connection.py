"""The connection to the Redis server of a stream, and the commands it sends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import frozen

from recloser.errors import ConfigError, LogError
from recloser.integrations import needs
from recloser.sharing.server_url import UNREADABLE, parse_server_url
from recloser.sharing.stream_entry import (
    Body,
    Entry,
    EntryId,
    Fields,
    entry_fields,
    format_id,
    just_before,
    parse_entries,
    parse_id,
)

with needs("redis", extra="redis"):
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import MovedError
    from redis.retry import Retry

PAGE: Final = 500
"""The most entries that are read at once."""

_SHORTEST_PAGE: Final = 2
_WORD: Final = re.compile(r"^[^{}\s]{1,200}$")


class StreamAwayError(LogError):
    """The server cannot be reached; the message says why, without anything secret."""


class StreamChangedError(LogError):
    """The stream has lost all or some of the entries that were read from it."""


@frozen
class Exchange:
    """The result of one round trip.

    Attributes:
        entries: The entries after the known position.
        sent_id: The id given to the sent entry; None if none was sent.
        is_at_end: Whether there are no further entries.
        has_expected: Whether the expected entry is there; True if none was expected.
    """

    entries: list[Entry]
    sent_id: EntryId | None
    is_at_end: bool = True
    has_expected: bool = True


def stream_key(stream: str) -> str:
    """Return the Redis key of a stream.

    The braces in it keep the stream in one slot of a Redis cluster.

    Raises:
        ConfigError: The name is empty, too long, or contains braces or spaces.
    """
    if not isinstance(stream, str) or not _WORD.match(stream):
        raise ConfigError(
            "stream must be a name of up to 200 characters without braces or spaces, "
            f"not {stream!r}"
        )
    return f"recloser:{{{stream}}}"


class StreamConnection:
    """A connection to the server of a stream, for one thread at a time.

    Args:
        url: The URL of the server.
        stream: The name of the stream.
        timeout_seconds: Seconds after which a server that does not answer counts as away.

    Attributes:
        address: The server's URL without user, password and options, for messages.
        key: The Redis key of the stream.
    """

    def __init__(self, url: str, stream: str, timeout_seconds: float) -> None:
        server = parse_server_url(url)
        self.address = server.address
        self.key = stream_key(stream)
        self._url = server.url
        self._page = PAGE
        self._timeout = timeout_seconds
        self._moved: tuple[str, int] | None = None
        self._connected_to: tuple[str, int] | None = None
        self._client = self._connect()

    def __repr__(self) -> str:
        return f"<StreamConnection {self.address}, {self.key}>"

    @property
    def channel(self) -> str:
        """The channel on which members ask each other to read at once."""
        return f"{self.key}:bell"

    def _connect(self) -> "redis.Redis":
        where: dict[str, Any] = {}
        if self._moved is not None:
            where = {"host": self._moved[0], "port": self._moved[1]}
        self._connected_to = self._moved
        try:
            client = redis.Redis.from_url(
                self._url,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                # Retries within redis-py would exceed the timeout without a message.
                retry=Retry(NoBackoff(), 0),
                client_name="recloser",
                decode_responses=False,
            )
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)  # checks the options; connects nothing
        except (ValueError, TypeError, redis.RedisError):
            # The text of the error may quote the URL.
            raise ConfigError(UNREADABLE) from None
        client.connection_pool.connection_kwargs.update(where)
        return client

    @contextmanager
    def _client_errors(self) -> Iterator["redis.Redis"]:
        try:
            yield self._client
        except MovedError as error:
            # The stream is one key, so a single node of the cluster has it.
            self._moved = (error.host, error.port)
            raise StreamAwayError(f"the stream has moved to {error.host}:{error.port}") from None
        except (redis.RedisError, OSError) as error:
            self._moved = None
            raise StreamAwayError(_reason(error)) from None

    def reconnect(self) -> None:
        """Close all connections; the next command opens new ones.

        The new ones go to the node of a Redis cluster that has the stream.
        """
        if self._moved != self._connected_to:
            self.close()
            self._client = self._connect()
            return
        # The client is kept. Old clients would be left to the garbage collector, which runs in any
        # thread, including one that holds the sequencer's lock, and closes their sockets there.
        try:
            self._client.connection_pool.disconnect()
        except (redis.RedisError, OSError):
            self._client = self._connect()

    def after_fork(self) -> None:
        """In a forked child, use new connections: those so far belong to the parent."""
        self._client = self._connect()

    def close(self) -> None:
        """Close all connections."""
        try:
            self._client.close()
        except (redis.RedisError, OSError):
            return

    def now_us(self) -> int:
        """Return the time of the server's clock, in microseconds since 1970."""
        with self._client_errors() as client:
            seconds, microseconds = client.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def exchange(
        self,
        position: EntryId,
        *,
        send: Fields | None = None,
        ring: bool = False,
        trim_to: EntryId | None = None,
        expect: EntryId | None = None,
    ) -> Exchange:
        """Send an entry and read the entries after a position, in one round trip.

        The entry at the position is read again, which shows that the stream has not lost its end.

        Args:
            position: The last entry that was read.
            send: The fields of an entry to send.
            ring: Whether other members should read at once.
            trim_to: The entry before which all others are removed.
            expect: An entry whose presence is checked.

        Raises:
            StreamAwayError: The server cannot be reached or refuses a command.
            StreamChangedError: The entry at the position is gone.
        """
        with self._client_errors() as client:
            pipeline = client.pipeline(transaction=False)
            if send is not None:
                pipeline.xadd(self.key, send, nomkstream=True)  # type: ignore[arg-type]  # its dict is invariant
            if trim_to is not None:
                pipeline.xtrim(self.key, minid=format_id(trim_to), approximate=False)
            if ring:
                pipeline.publish(self.channel, b"")
            if expect is not None:
                pipeline.xrange(self.key, format_id(expect), format_id(expect), count=1)
            pipeline.xread({self.key: just_before(position)}, count=self._page)
            with self._adapted_page():
                page = self._page
                replies = pipeline.execute()
        rows = _rows(replies[-1])
        if not rows or parse_id(rows[0][0]) != position:
            raise StreamChangedError("the last entry that was read is gone")
        sent = None if send is None else replies[0]
        if send is not None and sent is None:
            raise StreamChangedError("the stream is gone")
        return Exchange(
            parse_entries(rows[1:]),
            None if sent is None else parse_id(sent),
            is_at_end=len(rows) < page,
            has_expected=expect is None or bool(replies[-2]),
        )

    @contextmanager
    def _adapted_page(self) -> Iterator[None]:
        """Make the next page shorter if this one does not arrive in time, and else longer.

        A page may hold entries of many megabytes. The shortest page has two entries: the one at the
        known position and one more.
        """
        try:
            yield
        except redis.TimeoutError:
            self._page = max(_SHORTEST_PAGE, self._page // 8)
            raise
        self._page = min(PAGE, self._page * 2)

    def ring(self) -> None:
        """Ask the other members to read at once."""
        with self._client_errors() as client:
            client.publish(self.channel, b"")

    def begin(self, member: str, batch: int, body: Body) -> None:
        """Append an entry, and create the stream if there is none."""
        with self._client_errors() as client:
            client.xadd(self.key, entry_fields(member, batch, body))  # type: ignore[arg-type]  # its dict is invariant

    def page(self, first: EntryId | None, *, count: int | None = None) -> list[Entry]:
        """Return a page of entries from ``first`` on, or from the beginning."""
        with self._client_errors() as client, self._adapted_page():
            start = "-" if first is None else format_id(first)
            rows: Any = client.xrange(self.key, start, "+", count=count or self._page)
        return parse_entries(rows)

    def page_back(self, last: EntryId | None, *, count: int | None = None) -> list[Entry]:
        """Return a page of entries before ``last`` or from the end, the newest first."""
        with self._client_errors() as client, self._adapted_page():
            end = "+" if last is None else just_before(last)
            rows: Any = client.xrevrange(self.key, end, "-", count=count or self._page)
        return parse_entries(rows)

    @contextmanager
    def bell(self) -> Iterator["redis.client.PubSub"]:
        """Subscribe to the channel, within a ``with`` block."""
        with (
            self._client_errors() as client,
            client.pubsub(ignore_subscribe_messages=True) as subscription,  # type: ignore[no-untyped-call]
        ):
            subscription.subscribe(self.channel)
            yield subscription


def _rows(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries in a reply to XREAD, in version 2 or 3 of the Redis protocol."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (streams,) = reply.values()
        return list(streams[0])
    return list(reply[0][1])


def _reason(error: Exception) -> str:
    """Return a library's error message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
