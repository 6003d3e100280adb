"""The format strings by which nginx, Apache, Envoy and HAProxy write logs, as regular expressions.

A format string is taken as its producer's configuration has it. In the expression every field ends
at the first place where the text that follows it can begin, and all repetition is possessive: a line
is matched or given up in time linear in its length, whatever it holds.
"""

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

from attrs import frozen

from recloser.errors import ImportTraceError


@frozen
class FieldOf:
    """A place in a line where a value stands.

    Attributes:
        name: The field's name.
        spaces: How many spaces are in the value though nothing is around it.
        may_be_quoted: Whether quotes may be around it.
        may_lack: Whether it may lack, with the space after it; it has braces around it then.
    """

    name: str
    spaces: int = 0
    may_be_quoted: bool = False
    may_lack: bool = False


Part: TypeAlias = str | FieldOf

_QUOTED: Final = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LISTED: Final = r"[^ ,]*+(?:(?:, | : )[^ ,]*+)*+"
_BRACKETS: Final = ("[]", "()", "{}", "<>", "||")
_USERS: Final = ("user", "remote_user", "site")
"""Fields that hold spaces though nothing is around them."""

_SPACED: Final = ("request", "time_local", "http_user_agent", "http_referer", "agent", "referer")
"""Fields whose values hold spaces, where something else is after them."""

_IDENTS: Final = ("ident",)
"""A host in the place of this field shows that the line begins with something else."""

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


def parts_of(language: str, text: str) -> list[Part]:
    """The literal texts and the fields of a format string.

    Args:
        language: ``nginx``, ``apache``, ``envoy`` or ``haproxy``.
        text: The format string.

    Raises:
        ImportTraceError: There are two fields with nothing between them, or no field at all.
    """
    split = _LANGUAGES.get(language)
    if split is None:
        raise ImportTraceError(
            f"there are format strings of {', '.join(_LANGUAGES)}, not {language}"
        )
    parts: list[Part] = []
    for part in split(text):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    if not any(isinstance(part, FieldOf) for part in parts):
        raise ImportTraceError(f"the format string {text!r} has no field of {language}")
    for before, part in itertools.pairwise(parts):
        if isinstance(before, FieldOf) and isinstance(part, FieldOf):
            raise ImportTraceError(
                f"nothing stands between {before.name} and {part.name} in the format string, so "
                "lines can't be told apart; use a regular expression"
            )
    return parts


def language_of(text: str) -> str | None:
    """The language that a format string is in; None if it is in none."""
    if _ENVOY.search(text):
        return "envoy"
    if _NGINX.search(text):
        return "nginx"
    if _HAPROXY_ONLY.search(text):
        return "haproxy"
    if re.search(r"%[<>]?s|%\{[^}]+\}[io]|%h\b", text) and re.search(r"%t|\}t", text):
        return "apache"
    return None


def fields_in(parts: Sequence[Part]) -> list[str]:
    """The names of the fields, in their order."""
    return [part.name for part in parts if isinstance(part, FieldOf)]


def pattern_of(
    parts: Sequence[Part],
    wanted: Collection[str],
    *,
    lists: Collection[str] = (),
    is_open: bool = False,
) -> tuple[re.Pattern[str], list[str]]:
    """The expression that matches whole lines, and the field of each of its groups.

    Args:
        parts: Those of a format string.
        wanted: The fields to give groups to; of several with one name, the first has it.
        lists: The fields that hold several values, with a comma or a colon between them.
        is_open: Whether a line may be cut in its last field, or have more after it.
    """
    names: list[str] = []
    pattern = ""
    for place, part in enumerate(parts):
        if isinstance(part, str):
            if place and _may_lack(parts[place - 1]):
                part = part.removeprefix(" ")  # noqa: PLW2901  # it is in the group of the field
            is_last_quote = is_open and place == len(parts) - 1
            pattern += re.escape(part) + ("?+" if is_last_quote and len(part) == 1 else "")
            continue
        following = parts[place + 1] if place + 1 < len(parts) else ""
        assert isinstance(following, str)
        before = parts[place - 1] if place else ""
        value = _value(part, before if isinstance(before, str) else "", following, lists)
        if part.name in wanted and part.name not in names:
            names.append(part.name)
            value = f"({value})"
        pattern += f"(?:{value} )?" if part.may_lack else value
    return re.compile(pattern + (".*+" if is_open else "")), names


def _may_lack(part: Part) -> bool:
    return isinstance(part, FieldOf) and part.may_lack


def _value(part: FieldOf, before: str, following: str, lists: Collection[str]) -> str:
    """The expression for a field between two texts; a value in the open holds no space."""
    name = part.name
    if part.may_lack:
        return r"(?:\{[^}]*+\}|-)"
    if part.may_be_quoted:
        return f'(?:"{_QUOTED}"|{_value(FieldOf(name), before, following, lists)})'
    if before.endswith('"') and following.startswith('"'):
        return _QUOTED
    if name in lists and following.startswith(" "):
        return _LISTED
    if part.spaces and before[-1:] + following[:1] not in _BRACKETS:
        ended = re.escape(following[:1]) if following[:1] != " " else ""
        return f"[^ {ended}]*+" + f"(?: [^ {ended}]*+){{{part.spaces}}}"
    return _open_value(name, before, following)


def _open_value(name: str, before: str, following: str) -> str:
    if name in _IDENTS:
        return "[^ .:]*+"
    if not following:
        return "[^ ]*+"
    first, rest = re.escape(following[0]), re.escape(following[1:])
    if name in _USERS and rest:
        return f"[^{first}]*+(?:{first}(?!{rest})[^{first}]*+)*+"
    if name in _SPACED and first != re.escape(" "):
        return f"[^{first}]*+"
    is_enclosed = before[-1:] + following[0] in _BRACKETS
    return f"[^{first}]*+" if is_enclosed or following[0] == " " else f"[^{first} ]*+"


def _nginx(text: str) -> list[Part]:
    """Of ``log_format name 'one' 'two';`` too."""
    written = re.sub(r"^\s*log_format\s+\S+\s+(?:escape=\w+\s+)?", "", text).strip().rstrip(";")
    if written != text.strip() or re.fullmatch(r"'.*'", written, re.DOTALL):
        pieces = re.findall(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", written)
        written = "".join(one or other for one, other in pieces) or written

    def field(found: re.Match[str]) -> Part:
        name = found[1] or found[2]
        return FieldOf(name, spaces=1 if name == "time_local" else 0)

    return _split(_NGINX, written, field)


def _apache(text: str) -> list[Part]:
    """Of ``LogFormat "..." name`` too."""
    configured = re.fullmatch(r'\s*LogFormat\s+"((?:[^"\\]|\\.)*+)"(?:\s+\S+)?\s*', text)
    written = (configured[1] if configured else text).replace(r"\"", '"')
    times: list[FieldOf] = []

    def time_of(found: re.Match[str]) -> str:
        times.append(_apache_time(found[0]))
        return f"%{{{_TIME_MARK}{len(times) - 1}}}t"

    written = _APACHE_TIMES.sub(time_of, written)

    def field(found: re.Match[str]) -> Part | list[Part]:
        argument, letter = found[1], found[2]
        if letter == "%":
            return "%"
        if argument is None:
            name = FieldOf(_APACHE_NAMES.get(letter, letter))
            return ["[", name, "]"] if letter == "t" else name
        if letter == "T":
            return FieldOf(_APACHE_UNITS.get(argument, "duration_s"))
        if letter == "t":
            return times[int(argument.removeprefix(_TIME_MARK))]
        return FieldOf(_plain_name("agent" if argument.lower() == "user-agent" else argument))

    return _split(_APACHE, written, field)


def _apache_time(written: str) -> FieldOf:
    """The field of a time in parts, such as ``%{%Y-%m-%d %H:%M:%S}t.%{msec_frac}t``."""
    parts = _APACHE_TIME.findall(written)
    moment = "end_" if any(part.startswith("end:") for part in parts) else ""
    parts = [part.removeprefix("begin:").removeprefix("end:") for part in parts]
    if len(parts) == 1 and parts[0] in _APACHE_EPOCHS:
        return FieldOf(moment + _APACHE_EPOCHS[parts[0]])
    return FieldOf(moment + "time", spaces=_APACHE_TIME.sub(r"\1", written).count(" "))


def _envoy(text: str) -> list[Part]:
    def field(found: re.Match[str]) -> Part:
        operator, argument = found[1], found[2]
        whole = operator if argument is None else f"{operator}({argument})"
        if operator in ("REQ", "RESP", "TRAILER"):
            return FieldOf(_ENVOY_NAMES.get(whole.upper(), _plain_name(argument.partition("?")[0])))
        return FieldOf(operator.lower())

    return _split(_ENVOY, text.strip().removesuffix("\\n"), field)


def _haproxy(text: str) -> list[Part]:
    quotes_all = False

    def field(found: re.Match[str]) -> Part | list[Part]:
        nonlocal quotes_all
        flags, sample, tag = found.groups()
        is_quoted = bool(flags) and "+Q" in flags
        if tag == "o":
            # As HAProxy has it, numbers go without quotes then.
            quotes_all = (quotes_all or is_quoted) and "-Q" not in (flags or "")
            return ""
        name = tag or _plain_name(sample)
        if is_quoted:
            return ['"', FieldOf(name), '"']
        is_captured = name in ("hr", "hs")
        return FieldOf(name, may_be_quoted=quotes_all and not is_captured, may_lack=is_captured)

    return _split(_HAPROXY, _haproxy_text(text), field)


def _haproxy_text(text: str) -> str:
    """The format of a directive ``log-format "..."`` too; leading spaces are those after flags."""
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
        made = field(found)
        parts += [text[at : found.start()], *(made if isinstance(made, list) else [made])]
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
