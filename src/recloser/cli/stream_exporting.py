"""``recloser export redis://… LOG``: the history of a fleet's stream as a log."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from recloser.cli.render.terminal import counted, note, print_json, print_text, printable
from recloser.errors import ConfigError

_SCHEMES: Final = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")


def is_stream(source: str) -> bool:
    """Whether a source is a stream, and not a log."""
    return source.startswith(_SCHEMES)


def export_stream_to(source: str, log: Path, *, as_json: bool) -> None:
    """Write the history of the stream that a URL names to a folder.

    Raises:
        RecloserError: The URL is not that of a stream, the server can't be reached, or something
            is in the folder.
    """
    from recloser.sharing.stream_export import export_stream

    url, stream = _split(source)
    exported = export_stream(url, stream, log)
    if not exported.is_whole:
        note(
            f"the history begins with a checkpoint: what was before it is not in the stream {stream}"
        )
    if as_json:
        print_json(
            {
                "schema": "recloser.export/1",
                "written": str(log),
                "events": exported.events,
                "edges": exported.edges,
                "breakers": exported.breakers,
                "last_seq": exported.seq,
                "whole": exported.is_whole,
            }
        )
        return
    told = f"{counted(exported.events, 'event')} written to {log}"
    edges, breakers = counted(exported.edges, "edge"), counted(exported.breakers, "breaker")
    print_text(printable(f"{told}: {edges} of {breakers}"))


def _split(source: str) -> tuple[str, str]:
    """The URL of the server, and the name of the stream that its ``?stream=`` gives."""
    try:
        parts = urlsplit(source)
    except ValueError:
        raise ConfigError("the URL can't be read as that of a Redis server") from None
    options = [option for option in parts.query.split("&") if option]
    streams = [option for option in options if option.startswith("stream=")]
    kept = "&".join(option for option in options if option not in streams)
    named = unquote_plus(streams[-1].removeprefix("stream=")) if streams else "breakers"
    return urlunsplit(parts._replace(query=kept)), named
