"""Format strings of nginx, Apache, Envoy and HAProxy, split into fields.

A format string is given as it stands in the configuration of the server.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from attrs import frozen

from recloser.errors import ImportTraceError


@frozen
class FormatField:
    """A field in a format string.

    Attributes:
        name: The name of the field.
        spaces: How many spaces an unquoted value holds.
        may_be_quoted: Whether the value may have quotes around it.
        may_be_missing: Whether the value may be missing, with the space after it; a value has braces.
    """

    name: str
    spaces: int = 0
    may_be_quoted: bool = False
    may_be_missing: bool = False


Part: TypeAlias = str | FormatField

_NGINX: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_APACHE: Final = re.compile(
    r"%(?:!?[\d,]+)?[<>]?(?:\{([^}]*)\})?[<>]?(\^t[io]|[a-zA-Z%])",
)
_ENVOY: Final = re.compile(r"%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::\d+)?%")
_HAPROXY: Final = re.compile(r"%(?:\{([^}]*)\})?(?:\[([^\]]*)\]|([a-zA-Z]+))")

_HAPROXY_ONLY: Final = re.compile(r"%(?:ci|ST|tr|HM|Tr|\[|\{\+)")

_APACHE_NAMES: Final = {
    "a": "host", "h": "host", "l": "ident", "u": "user", "t": "time", "r": "request", "s": "status",
    "b": "bytes", "B": "bytes", "D": "duration_us", "T": "duration_s", "m": "method", "U": "path",
    "q": "query", "H": "protocol", "v": "vhost", "V": "vhost", "p": "port", "P": "pid",
    "I": "bytes_in", "O": "bytes_out", "X": "connection", "k": "keepalives", "f": "file",
}  # fmt: skip
_APACHE_TIME: Final = re.compile(r"%\{([^}]*)\}t")
_APACHE_TIMES: Final = re.compile(r"%\{[^}]*\}t(?:[^%\s\"|]{0,2} ?%\{[^}]*\}t)*+")
_APACHE_EPOCHS: Final = {"sec": "time_s", "%s": "time_s", "msec": "time_ms", "usec": "time_us"}
_TIME_MARK: Final = "time "

_APACHE_UNITS: Final = {"s": "duration_s", "ms": "duration_ms", "us": "duration_us"}
_ENVOY_NAMES: Final = {
    "REQ(:METHOD)": "method",
    "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": "path",
    "REQ(:PATH)": "path",
    "REQ(:AUTHORITY)": "authority",
    "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)": "upstream_service_time",
}


def split_format(language: str, text: str) -> list[Part]:
    """Split a format string into literal texts and fields.

    Args:
        language: ``nginx``, ``apache``, ``envoy`` or ``haproxy``.
        text: The format string.

    Raises:
        ImportTraceError: Two fields have nothing between them, or there is no field.
    """
    split = _LANGUAGES.get(language)
    if split is None:
        raise ImportTraceError(
            f"there are format strings of {', '.join(_LANGUAGES)}, not of {language}"
        )
    parts: list[Part] = []
    for part in split(text):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    if not any(isinstance(part, FormatField) for part in parts):
        raise ImportTraceError(
            f"the format string {text!r} has no field of {language}; check its spelling"
        )
    for before, part in itertools.pairwise(parts):
        if isinstance(before, FormatField) and isinstance(part, FormatField):
            raise ImportTraceError(
                f"the format string has nothing between {before.name} and {part.name}, so where one ends "
                "is not known; use --regex"
            )
    return parts


def language_of(text: str) -> str | None:
    """Return the language of a format string; None if it is in none of the four."""
    if _ENVOY.search(text):
        return "envoy"
    if _NGINX.search(text):
        return "nginx"
    if _HAPROXY_ONLY.search(text):
        return "haproxy"
    if re.search(r"%[<>]?s|%\{[^}]+\}[io]|%h\b", text) and re.search(r"%t|\}t", text):
        return "apache"
    return None


def _nginx(text: str) -> list[Part]:
    """Split a format string of nginx, or a directive ``log_format name 'one' 'two';``."""
    written = re.sub(r"^\s*log_format\s+\S+\s+(?:escape=\w+\s+)?", "", text).strip().rstrip(";")
    if written != text.strip() or re.fullmatch(r"'.*'", written, re.DOTALL):
        pieces = re.findall(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", written)
        written = "".join(one or other for one, other in pieces) or written

    def field(found: re.Match[str]) -> Part:
        name = found[1] or found[2]
        return FormatField(name, spaces=1 if name == "time_local" else 0)

    return _split(_NGINX, written, field)


def _apache(text: str) -> list[Part]:
    """Split a format string of Apache, or a directive ``LogFormat "..." name``."""
    configured = re.fullmatch(r'\s*LogFormat\s+"((?:[^"\\]|\\.)*+)"(?:\s+\S+)?\s*', text)
    written = (configured[1] if configured else text).replace(r"\"", '"')
    times: list[FormatField] = []

    def time_of(found: re.Match[str]) -> str:
        times.append(_apache_time(found[0]))
        return f"%{{{_TIME_MARK}{len(times) - 1}}}t"

    written = _APACHE_TIMES.sub(time_of, written)

    def field(found: re.Match[str]) -> Part | list[Part]:
        argument, letter = found[1], found[2]
        if letter == "%":
            return "%"
        if argument is None:
            name = FormatField(_APACHE_NAMES.get(letter, letter))
            return ["[", name, "]"] if letter == "t" else name
        if letter == "T":
            return FormatField(_APACHE_UNITS.get(argument, "duration_s"))
        if letter == "t":
            return times[int(argument.removeprefix(_TIME_MARK))]
        return FormatField(_plain_name("agent" if argument.lower() == "user-agent" else argument))

    return _split(_APACHE, written, field)


def _apache_time(written: str) -> FormatField:
    """The field of a time in parts, such as ``%{%Y-%m-%d %H:%M:%S}t.%{msec_frac}t``."""
    parts = _APACHE_TIME.findall(written)
    prefix = "end_" if any(part.startswith("end:") for part in parts) else ""
    parts = [part.removeprefix("begin:").removeprefix("end:") for part in parts]
    if len(parts) == 1 and parts[0] in _APACHE_EPOCHS:
        return FormatField(prefix + _APACHE_EPOCHS[parts[0]])
    return FormatField(prefix + "time", spaces=_APACHE_TIME.sub(r"\1", written).count(" "))


def _envoy(text: str) -> list[Part]:
    def field(found: re.Match[str]) -> Part:
        operator, argument = found[1], found[2]
        whole = operator if argument is None else f"{operator}({argument})"
        if operator in ("REQ", "RESP", "TRAILER"):
            return FormatField(
                _ENVOY_NAMES.get(whole.upper(), _plain_name(argument.partition("?")[0]))
            )
        return FormatField(operator.lower())

    return _split(_ENVOY, text.strip().removesuffix("\\n"), field)


def _haproxy(text: str) -> list[Part]:
    quotes_all = False

    def field(found: re.Match[str]) -> Part | list[Part]:
        nonlocal quotes_all
        flags, sample, tag = found.groups()
        is_quoted = bool(flags) and "+Q" in flags
        if tag == "o":
            # HAProxy's own rule: numbers have no quotes then.
            quotes_all = (quotes_all or is_quoted) and "-Q" not in (flags or "")
            return ""
        name = tag or _plain_name(sample)
        if is_quoted:
            return ['"', FormatField(name), '"']
        is_captured = name in ("hr", "hs")
        return FormatField(
            name, may_be_quoted=quotes_all and not is_captured, may_be_missing=is_captured
        )

    return _split(_HAPROXY, _haproxy_text(text), field)


def _haproxy_text(text: str) -> str:
    """Return the format string in a directive ``log-format "..."`` of HAProxy."""
    written = re.sub(r"^\s*log-format\s+", "", text).strip()
    if len(written) > 1 and written[0] == written[-1] == '"':
        written = written[1:-1]
    return re.sub(r"(%\{[^}]*\}o) ", r"\1", written.replace("\\ ", " ")).replace('\\"', '"')


def _split(
    pattern: re.Pattern[str], text: str, field: Callable[[re.Match[str]], Part | list[Part]]
) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for found in pattern.finditer(text):
        replaced = field(found)
        parts += [
            text[at : found.start()],
            *(replaced if isinstance(replaced, list) else [replaced]),
        ]
        at = found.end()
    return [*parts, text[at:]]


def _plain_name(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")


_LANGUAGES: Final[Mapping[str, Callable[[str], list[Part]]]] = {
    "nginx": _nginx,
    "apache": _apache,
    "envoy": _envoy,
    "haproxy": _haproxy,
}
