"""The forms in which container runtimes, loggers and collectors wrap each line.

A new one is an entry of ``WRAPPINGS``. Those that could be part of a line as well, as a time in front
of it, are ``is_unsure``: they are taken away where a format reads what is left.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.errors import ImportTraceError
from recloser.importers.records.json_lines import path_of, value_at
from recloser.importers.stages import MAX_LINE_CHARS

Within: TypeAlias = tuple[str, bool]
"""The text within a line, and whether it goes on in the next line."""

Around: TypeAlias = tuple[str | None, str | None]
"""The time and the host that a wrapping says; None for what it does not."""

Unwrap: TypeAlias = Callable[[str], Within | None]

FIELD: Final = "field:"
"""Prefix of the name of a wrapping that is a field of a JSON object."""

_NOTHING: Final[Around] = (None, None)
_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Wrapping:
    """A form in which lines are wrapped.

    Attributes:
        name: What ``--unwrap`` calls it.
        title: What it is, for people.
        unwrap: Takes it away from a line; None if it is not there.
        around: The time and the host that it says.
        is_unsure: Whether it could be part of the line as well.
    """

    name: str
    title: str
    unwrap: Unwrap
    around: Callable[[str], Around] = lambda _line: _NOTHING
    is_unsure: bool = False


def _prefix(name: str, title: str, pattern: str, *, is_unsure: bool = False) -> Wrapping:
    """A prefix; its pattern must not be able to match in many ways."""
    compiled = re.compile(pattern)
    match = compiled.match
    named = [group if group in compiled.groupindex else None for group in ("time", "host")]

    def unwrap(line: str) -> Within | None:
        found = match(line)
        return None if found is None else (line[found.end() :], False)

    def around(line: str) -> Around:
        found = match(line)
        if found is None:
            return _NOTHING
        time, host = (None if group is None else found[group] for group in named)
        return time, host

    return Wrapping(name, title, unwrap, around, is_unsure)


_DATE: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_CRI: Final = re.compile(
    rf"({_DATE}(?:\.\d{{1,9}}+)?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP])(?::\S++)? "
)
_BEFORE_JSON: Final = re.compile(r'[^{]*?\s(?=\{\s*+["}])')
_TIME_WITHIN: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9}+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
)


def _cri(line: str) -> Within | None:
    found = _CRI.match(line)
    return None if found is None else (line[found.end() :], found[2] == "P")


def _around_cri(line: str) -> Around:
    found = _CRI.match(line)
    return (None if found is None else found[1]), None


class _DockerLine(msgspec.Struct):
    log: str
    stream: str
    time: str | None = None


_decode_docker: Final = msgspec.json.Decoder(_DockerLine).decode


def _docker_line(line: str) -> _DockerLine | None:
    if not line.startswith('{"log":'):
        return None
    try:
        return _decode_docker(line)
    except _MALFORMED:
        return None


def _docker_json(line: str) -> Within | None:
    decoded = _docker_line(line)
    if decoded is None:
        return None
    log = decoded.log
    return log.removesuffix("\n").removesuffix("\r"), not log.endswith("\n")


def _around_docker(line: str) -> Around:
    decoded = _docker_line(line)
    return (None if decoded is None else decoded.time), None


class _Journal(msgspec.Struct):
    MESSAGE: str | list[int]
    time: str | None = msgspec.field(name="__REALTIME_TIMESTAMP", default=None)
    host: str | None = msgspec.field(name="_HOSTNAME", default=None)


_decode_journal: Final = msgspec.json.Decoder(_Journal).decode


def _journal_line(line: str) -> _Journal | None:
    if "__REALTIME_TIMESTAMP" not in line:
        return None
    try:
        return _decode_journal(line)
    except _MALFORMED:
        return None


def _journald(line: str) -> Within | None:
    decoded = _journal_line(line)
    if decoded is None:
        return None
    message = decoded.MESSAGE
    if isinstance(message, list):  # of bytes, where they are no plain text
        try:
            message = bytes(message).decode(errors="backslashreplace")
        except ValueError:
            return None
    return message.replace("\n", " "), False


def _around_journald(line: str) -> Around:
    decoded = _journal_line(line)
    if decoded is None:
        return _NOTHING
    time = decoded.time
    if time is None or not time.isdecimal() or len(time) > 16:  # noqa: PLR2004  # year 2286
        return None, decoded.host
    return (_EPOCH + timedelta(microseconds=int(time))).isoformat(), decoded.host


def _json_after_prefix(line: str) -> Within | None:
    found = _BEFORE_JSON.match(line)
    if found is None or not line.rstrip().endswith("}"):
        return None
    return line[found.end() :], False


def _around_json(line: str) -> Around:
    found = _BEFORE_JSON.match(line)
    time = None if found is None else _TIME_WITHIN.search(found[0])
    return (None if time is None else time[0]), None


_TIMES: Final = ("@timestamp", "timestamp", "time", "ts", "date")
_HOSTS: Final = ("host.name", "hostname", "host", "kubernetes.pod_name", "kubernetes.pod.name")


def of_field(path: str) -> Wrapping:
    """The wrapping of lines as a text within JSON objects, as collectors do.

    Args:
        path: The keys that lead to it, as ``message`` or ``log.original``.

    Raises:
        ImportTraceError: It is no path.
    """
    keys = path_of(path)
    times, hosts = ([path_of(each) for each in names] for names in (_TIMES, _HOSTS))

    def unwrap(line: str) -> Within | None:
        text = value_at(_object(line), keys)
        return (text.rstrip("\r\n"), False) if isinstance(text, str) else None

    def around(line: str) -> Around:
        value = _object(line)
        return _first_text(value, times), _first_text(value, hosts)

    return Wrapping(FIELD + path, f"the field {path} of JSON objects", unwrap, around, True)


def _object(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{") or len(line) > MAX_LINE_CHARS:
        return None
    try:
        value = msgspec.json.decode(line)
    except _MALFORMED:
        return None
    return value if isinstance(value, dict) else None


def _first_text(value: Any, paths: Iterable[Sequence[str]]) -> str | None:
    found = (value_at(value, path) for path in paths)
    return next((text for text in found if isinstance(text, str) and text), None)


FIELDS: Final = [of_field(name) for name in ("message", "log", "MESSAGE", "event.original", "msg")]
"""The fields that are looked at for the line that they may hold."""

WRAPPINGS: Final = {
    wrapping.name: wrapping
    for wrapping in (
        Wrapping("cri", "the prefix of a container runtime (CRI)", _cri, _around_cri),
        Wrapping("docker-json", "Docker's json-file driver", _docker_json, _around_docker),
        Wrapping("journald", "journalctl's JSON", _journald, _around_journald),
        _prefix(
            "kubectl-prefix",
            "the name of a pod, of kubectl logs --prefix",
            r"\[pod/(?P<host>[^/\]\s]++)/[^\]\s]++\] ",
        ),
        _prefix(
            "syslog5424",
            "the prefix of syslog (RFC 5424)",
            rf"<\d{{1,3}}>\d{{1,2}} (?:-|(?P<time>{_DATE}(?:\.\d{{1,9}}+)?(?:Z|[+-]\d\d:\d\d)))"
            r" (?:-|(?P<host>\S++)) \S++ \S++ \S++ "
            r'(?:-|(?:\[[^\s=\]"]++(?: [^\s=\]"]++="[^"\\]*+(?:\\.[^"\\]*+)*+")*+\])++)'
            "(?: \ufeff?| ?$)",
        ),
        _prefix(
            "syslog",
            "the prefix of syslog",
            r"(?:<\d{1,3}+>)?(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d "
            rf"\d\d:\d\d:\d\d|(?P<time>{_DATE}(?:\.\d{{1,9}}+)?(?:Z|[+-]\d\d:?\d\d)))"
            r" (?P<host>\S++) [^\s:\[]++(?:\[\d++\])?: ",
        ),
        _prefix(
            "compose",
            "the name of a service, of docker compose logs",
            r"(?:\x1b\[[\d;]*+m)?(?P<host>[\w.-]++) ++\|(?:\x1b\[[\d;]*+m)? ",
            is_unsure=True,
        ),
        _prefix(
            "timestamps",
            "the time of kubectl logs --timestamps, or of docker logs --timestamps",
            rf"(?P<time>{_DATE}\.\d{{9}}(?:Z|[+-]\d\d:\d\d)) ",
            is_unsure=True,
        ),
        Wrapping(
            "json-prefix",
            "a logger's prefix before JSON",
            _json_after_prefix,
            _around_json,
            is_unsure=True,
        ),
    )
}
"""The wrappings by their names, in the order in which they are looked for."""


def wrappings_named(names: Iterable[str]) -> list[Wrapping]:
    """The wrappings of these names.

    Raises:
        ImportTraceError: There is none of a name.
    """
    return [_named(name) for name in names]


def _named(name: str) -> Wrapping:
    if name.startswith(FIELD):
        return of_field(name.removeprefix(FIELD))
    if name not in WRAPPINGS:
        raise ImportTraceError(
            f"there is no wrapping {name!r}; there are {', '.join(WRAPPINGS)}, and {FIELD}NAME for a "
            "field of JSON objects that holds the line"
        )
    return WRAPPINGS[name]
