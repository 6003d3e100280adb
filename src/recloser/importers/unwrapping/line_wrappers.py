"""Wrappers that container runtimes, loggers and collectors put around lines.

To add one, add an entry to ``WRAPPERS``. A wrapper that could also be a part of the line, such as a
time in front of it, is ``is_unsure``: it is removed only if a format reads what is left.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import MAX_LINE_CHARS
from recloser.importers.values.json_paths import path_of, value_at

UnwrappedText: TypeAlias = tuple[str, bool]
"""The text within a line, and whether the next line continues it."""

WrapperFields: TypeAlias = tuple[str | None, str | None]
"""The time and the host that a wrapper contains; None for what it does not contain."""

Unwrap: TypeAlias = Callable[[str], UnwrappedText | None]

FIELD_PREFIX: Final = "field:"
"""Prefix of the name of a wrapper that is a field of a JSON object, as ``field:message``."""

_NO_FIELDS: Final[WrapperFields] = (None, None)
_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Wrapper:
    """A form in which lines are wrapped.

    Attributes:
        name: Its name for ``--unwrap``.
        title: What it is, in messages to the user.
        unwrap: Removes it from a line; returns None if the line does not have it.
        around: Returns the time and the host that it contains, given a line.
        is_unsure: Whether it could also be a part of the line.
    """

    name: str
    title: str
    unwrap: Unwrap
    fields_of: Callable[[str], WrapperFields] = lambda _line: _NO_FIELDS
    is_uncertain: bool = False


def _prefix(name: str, title: str, pattern: str, *, is_uncertain: bool = False) -> Wrapper:
    """Make a wrapper for a prefix. Its pattern must match in linear time on any line."""
    compiled = re.compile(pattern)
    match = compiled.match
    named = [group if group in compiled.groupindex else None for group in ("time", "host")]

    def unwrap(line: str) -> UnwrappedText | None:
        found = match(line)
        return None if found is None else (line[found.end() :], False)

    def fields_of(line: str) -> WrapperFields:
        found = match(line)
        if found is None:
            return _NO_FIELDS
        time, host = (None if group is None else found[group] for group in named)
        return time, host

    return Wrapper(name, title, unwrap, fields_of, is_uncertain)


_DATE: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_CRI: Final = re.compile(
    rf"({_DATE}(?:\.\d{{1,9}}+)?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP])(?::\S++)? "
)
_BEFORE_JSON: Final = re.compile(r'[^{]*?\s(?=\{\s*+["}])')
_TIME_WITHIN: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9}+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
)


def _cri(line: str) -> UnwrappedText | None:
    found = _CRI.match(line)
    return None if found is None else (line[found.end() :], found[2] == "P")


def _cri_fields(line: str) -> WrapperFields:
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


def _docker_json(line: str) -> UnwrappedText | None:
    decoded = _docker_line(line)
    if decoded is None:
        return None
    log = decoded.log
    return log.removesuffix("\n").removesuffix("\r"), not log.endswith("\n")


def _docker_fields(line: str) -> WrapperFields:
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


def _journald(line: str) -> UnwrappedText | None:
    decoded = _journal_line(line)
    if decoded is None:
        return None
    message = decoded.MESSAGE
    if isinstance(message, list):  # the bytes of a message that is not text
        try:
            message = bytes(message).decode(errors="backslashreplace")
        except ValueError:
            return None
    return message.replace("\n", " "), False


def _journald_fields(line: str) -> WrapperFields:
    decoded = _journal_line(line)
    if decoded is None:
        return _NO_FIELDS
    time = decoded.time
    if time is None or not time.isdecimal() or len(time) > 16:  # noqa: PLR2004  # year 2286
        return None, decoded.host
    return (_EPOCH + timedelta(microseconds=int(time))).isoformat(), decoded.host


def _json_after_prefix(line: str) -> UnwrappedText | None:
    found = _BEFORE_JSON.match(line)
    if found is None or not line.rstrip().endswith("}"):
        return None
    return line[found.end() :], False


def _json_prefix_fields(line: str) -> WrapperFields:
    found = _BEFORE_JSON.match(line)
    time = None if found is None else _TIME_WITHIN.search(found[0])
    return (None if time is None else time[0]), None


_TIMES: Final = ("@timestamp", "timestamp", "time", "ts", "date")
_HOSTS: Final = ("host.name", "hostname", "host", "kubernetes.pod_name", "kubernetes.pod.name")


def field_wrapper(path: str) -> Wrapper:
    """Make the wrapper of collectors that put the line into a field of a JSON object.

    Args:
        path: The path to the field, as ``message`` or ``log.original``.

    Raises:
        ImportTraceError: It is not a path of keys.
    """
    keys = path_of(path)
    times, hosts = ([path_of(each) for each in names] for names in (_TIMES, _HOSTS))

    def unwrap(line: str) -> UnwrappedText | None:
        text = value_at(_object(line), keys)
        return (text.rstrip("\r\n"), False) if isinstance(text, str) else None

    def fields_of(line: str) -> WrapperFields:
        value = _object(line)
        return _first_text(value, times), _first_text(value, hosts)

    return Wrapper(
        FIELD_PREFIX + path, f"the field {path} of JSON objects", unwrap, fields_of, True
    )


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


FIELD_WRAPPERS: Final = [
    field_wrapper(name) for name in ("message", "log", "MESSAGE", "event.original", "msg")
]
"""The fields of JSON objects in which a line is looked for."""

WRAPPERS: Final = {
    wrapper.name: wrapper
    for wrapper in (
        Wrapper("cri", "the prefix of a container runtime (CRI)", _cri, _cri_fields),
        Wrapper("docker-json", "Docker's json-file driver", _docker_json, _docker_fields),
        Wrapper("journald", "journalctl's JSON", _journald, _journald_fields),
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
            is_uncertain=True,
        ),
        _prefix(
            "timestamps",
            "the time of kubectl logs --timestamps, or of docker logs --timestamps",
            rf"(?P<time>{_DATE}\.\d{{9}}(?:Z|[+-]\d\d:\d\d)) ",
            is_uncertain=True,
        ),
        Wrapper(
            "json-prefix",
            "a logger's prefix before JSON",
            _json_after_prefix,
            _json_prefix_fields,
            is_uncertain=True,
        ),
    )
}
"""The wrappers by their names, in the order in which they are looked for."""


def wrappers_named(names: Iterable[str]) -> list[Wrapper]:
    """Find wrappers by their names.

    Raises:
        ImportTraceError: There is no wrapper of a name.
    """
    return [_named(name) for name in names]


def _named(name: str) -> Wrapper:
    if name.startswith(FIELD_PREFIX):
        return field_wrapper(name.removeprefix(FIELD_PREFIX))
    if name not in WRAPPERS:
        raise ImportTraceError(
            f"there is no wrapper {name!r} for --unwrap; use {', '.join(WRAPPERS)}, or {FIELD_PREFIX}NAME for a "
            "field of JSON objects that holds the line"
        )
    return WRAPPERS[name]
