"""``recloser export redis://… LOG``: the history of a stream of shared breakers as a log."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from recloser.cli.render.schemas.log_schemas import export_object
from recloser.cli.render.terminal import note, print_json, print_text
from recloser.core.formatting import printable, quantity
from recloser.errors import ConfigError

_SCHEMES: Final = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")
_DEFAULT_STREAM: Final = "breakers"


def is_stream(source: str) -> bool:
    """Whether the source of an export is the URL of a server, and not a log."""
    return source.startswith(_SCHEMES)


def export_stream_to(source: str, log: Path, *, as_json: bool) -> None:
    """Write the history of the stream that a URL names to a log.

    Args:
        source: The URL of the server, with ``?stream=NAME``.
        log: The folder to write, which must not exist.
        as_json: Whether to print the result as JSON.

    Raises:
        RecloserError: The URL does not name a stream, the server can't be reached, or the folder
            exists.
    """
    from recloser.sharing.stream_export import export_stream

    url, stream = _server_and_stream(source)
    exported = export_stream(url, stream, log)
    if not exported.is_whole:
        note(
            f"the history begins with a checkpoint, because the stream {stream} no longer has the "
            "entries before it"
        )
    if as_json:
        print_json(
            export_object(
                str(log),
                exported.events,
                edges=exported.edges,
                breakers=exported.breakers,
                last_seq=exported.seq,
                whole=exported.is_whole,
            )
        )
        return
    edges, breakers = quantity(exported.edges, "edge"), quantity(exported.breakers, "breaker")
    print_text(
        printable(f"{quantity(exported.events, 'event')} written to {log}: {edges} of {breakers}")
    )


def _server_and_stream(source: str) -> tuple[str, str]:
    """Split a URL with ``?stream=NAME`` into the URL of the server and the name."""
    try:
        parts = urlsplit(source)
    except ValueError:
        raise ConfigError("the URL can't be read as the URL of a Redis server") from None
    options = [option for option in parts.query.split("&") if option]
    streams = [option for option in options if option.startswith("stream=")]
    query = "&".join(option for option in options if option not in streams)
    name = unquote_plus(streams[-1].removeprefix("stream=")) if streams else _DEFAULT_STREAM
    return urlunsplit(parts._replace(query=query)), name
