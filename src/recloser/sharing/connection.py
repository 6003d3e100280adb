"""The server of a stream: how it is reached, and the few commands that it is asked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import frozen

from recloser.errors import ConfigError, LogError
from recloser.integrations import needs
from recloser.sharing.server_url import UNREADABLE, address_of
from recloser.sharing.stream_entry import (
    Body,
    Entry,
    EntryId,
    Fields,
    fields_of,
    id_text,
    just_before,
    parse_id,
    read_entries,
)

with needs("redis", extra="redis"):
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import MovedError
    from redis.retry import Retry

PAGE: Final = 500
"""So many entries are read at once."""

_SHORTEST_PAGE: Final = 2
_WORD: Final = re.compile(r"^[^{}\s]{1,200}$")


class StreamAwayError(LogError):
    """The stream can't be reached now; the message says why, and holds nothing secret."""


class StreamChangedError(LogError):
    """The stream is not the one that it was: its data are gone, or a part of them."""


@frozen
class Exchange:
    """What came of one round trip.

    Attributes:
        entries: What stands in the stream behind the position that was known.
        sent: The id that an entry was given; None if none was sent.
        is_whole: Whether that is all that stood there.
        has_start: Whether the entry is there that was looked for; True where none was.
    """

    entries: list[Entry]
    sent: EntryId | None
    is_whole: bool = True
    has_start: bool = True


def stream_key(stream: str) -> str:
    """The key of a stream of that name; the braces keep it in one slot of a cluster.

    Raises:
        ConfigError: It is no name.
    """
    if not isinstance(stream, str) or not _WORD.match(stream):
        raise ConfigError(
            "stream must be a name of up to 200 characters without braces or spaces, "
            f"not {stream!r}"
        )
    return f"recloser:{{{stream}}}"


class Server:
    """A connection to the server, for one thread at a time.

    Attributes:
        place: Where it is, without what is secret in its URL.
        key: The key of the stream.
    """

    def __init__(self, url: str, stream: str, timeout_seconds: float) -> None:
        address = address_of(url)
        self.place = address.place
        self.key = stream_key(stream)
        self._url = address.url
        self._page = PAGE
        self._timeout = timeout_seconds
        self._moved: tuple[str, int] | None = None
        self._connected_to: tuple[str, int] | None = None
        self._client = self._connect()

    def __repr__(self) -> str:
        return f"<Server {self.place}, {self.key}>"

    @property
    def channel(self) -> str:
        """Where it is made known that there is something to be read at once."""
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
                # A retry of its own would take longer than is promised, and say nothing.
                retry=Retry(NoBackoff(), 0),
                client_name="recloser",
                decode_responses=False,
            )
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)  # which connects nothing yet
        except (ValueError, TypeError, redis.RedisError):
            # What it says may quote the URL.
            raise ConfigError(UNREADABLE) from None
        client.connection_pool.connection_kwargs.update(where)
        return client

    @contextmanager
    def _asking(self) -> Iterator["redis.Redis"]:
        try:
            yield self._client
        except MovedError as error:
            # All is under one key, so one node of a cluster has it.
            self._moved = (error.host, error.port)
            raise StreamAwayError(f"the stream has moved to {error.host}:{error.port}") from None
        except (redis.RedisError, OSError) as error:
            self._moved = None
            raise StreamAwayError(_reason(error)) from None

    def reconnect(self) -> None:
        """Give up all connections; the next command makes new ones, to where the stream is."""
        if self._moved != self._connected_to:
            self.close()
            self._client = self._connect()
            return
        # Not another client each time: those before would be left to the garbage collector, which
        # runs in any thread, as in one that holds the lock.
        try:
            self._client.connection_pool.disconnect()
        except (redis.RedisError, OSError):
            self._client = self._connect()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections to the parent, and connect when asked."""
        self._client = self._connect()

    def close(self) -> None:
        """Give up all connections."""
        try:
            self._client.close()
        except (redis.RedisError, OSError):
            return

    def now_us(self) -> int:
        """The server's clock, in microseconds since 1970."""
        with self._asking() as client:
            seconds, microseconds = client.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def exchange(
        self,
        position: EntryId,
        *,
        say: Fields | None = None,
        ring: bool = False,
        trim_to: EntryId | None = None,
        look_for: EntryId | None = None,
    ) -> Exchange:
        """In one round trip, send an entry and read what has come behind a position.

        The entry at the position is read again, which shows that the stream is still the one.

        Args:
            position: The last entry that was read.
            say: The fields of an entry to send.
            ring: Whether others should read at once.
            trim_to: The entry before which all others may go.
            look_for: An entry that should be there.

        Raises:
            StreamAwayError: The server can't be reached, or does not do it.
            StreamChangedError: The entry at the position is not there any more.
        """
        with self._asking() as client:
            pipeline = client.pipeline(transaction=False)
            if say is not None:
                pipeline.xadd(self.key, say, nomkstream=True)  # type: ignore[arg-type]  # its dict is invariant
            if trim_to is not None:
                pipeline.xtrim(self.key, minid=id_text(trim_to), approximate=False)
            if ring:
                pipeline.publish(self.channel, b"")
            if look_for is not None:
                pipeline.xrange(self.key, id_text(look_for), id_text(look_for), count=1)
            pipeline.xread({self.key: just_before(position)}, count=self._page)
            with self._in_pages():
                shown = self._page
                replies = pipeline.execute()
        rows = _rows(replies[-1])
        if not rows or parse_id(rows[0][0]) != position:
            raise StreamChangedError("the entry that was the last is gone")
        sent = None if say is None else replies[0]
        if say is not None and sent is None:
            raise StreamChangedError("the stream is gone")
        return Exchange(
            read_entries(rows[1:]),
            None if sent is None else parse_id(sent),
            is_whole=len(rows) < shown,
            has_start=look_for is None or bool(replies[-2]),
        )

    @contextmanager
    def _in_pages(self) -> Iterator[None]:
        """Read a page; where it does not come in time, the next one is shorter.

        Entries that are too large to be read may stand in it, of which no more than one has to come
        at once.
        """
        try:
            yield
        except redis.TimeoutError:
            self._page = max(_SHORTEST_PAGE, self._page // 8)
            raise
        self._page = min(PAGE, self._page * 2)

    def ring(self) -> None:
        """Make known that there is something to be read at once."""
        with self._asking() as client:
            client.publish(self.channel, b"")

    def begin(self, member: str, batch: int, body: Body) -> None:
        """Add an entry whether there is a stream or not."""
        with self._asking() as client:
            client.xadd(self.key, fields_of(member, batch, body))  # type: ignore[arg-type]  # as above

    def page(self, first: EntryId | None, *, count: int | None = None) -> list[Entry]:
        """Entries from ``first`` on, or from the beginning."""
        with self._asking() as client, self._in_pages():
            start = "-" if first is None else id_text(first)
            rows: Any = client.xrange(self.key, start, "+", count=count or self._page)
        return read_entries(rows)

    def page_back(self, last: EntryId | None, *, count: int | None = None) -> list[Entry]:
        """Entries before ``last``, or from the end, the newest first."""
        with self._asking() as client, self._in_pages():
            end = "+" if last is None else just_before(last)
            rows: Any = client.xrevrange(self.key, end, "-", count=count or self._page)
        return read_entries(rows)

    @contextmanager
    def bell(self) -> Iterator["redis.client.PubSub"]:
        """What is heard on the channel."""
        with (
            self._asking() as client,
            client.pubsub(ignore_subscribe_messages=True) as heard,  # type: ignore[no-untyped-call]
        ):
            heard.subscribe(self.channel)
            yield heard


def _rows(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of one stream in a reply to XREAD, in either version of the protocol."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (streams,) = reply.values()
        return list(streams[0])
    return list(reply[0][1])


def _reason(error: Exception) -> str:
    """What a library says of a failure, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
