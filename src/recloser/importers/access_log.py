"""Call outcomes out of a web server's access log in the combined format.

The format tells the second of a request and no duration, so a call ends when it starts.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO, Final

from attrs import frozen

from recloser.clock import nanoseconds_between
from recloser.errors import ImportTraceError
from recloser.events import Outcome
from recloser.importers.fields import EPOCH, BreakerTemplate, OutcomeRule
from recloser.importers.source import lines_of, too_long
from recloser.importers.trace import ObservedCall, Unreadable

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
# Loggers cut long lines, so the last text need not be closed; what follows it is not ours to read.
_LINE: Final = re.compile(
    rf"(\S+) (\S+) (.+?) \[([^\]]+)\] {_QUOTED} (\d{{3}}) (\d+|-)"
    rf'(?: {_QUOTED})?(?: "((?:[^"\\]|\\.)*))?.*'
)
FIELDS: Final = (
    "host",
    "ident",
    "user",
    "time",
    "request",
    "status",
    "bytes",
    "referer",
    "agent",
    "method",
    "path",
    "route",
)
"""What a template or label can name; ``route`` is the method and the path without its query."""


@frozen(kw_only=True)
class AccessLogMapping:
    """What is made of each line: its breaker, its outcome, and the fields kept as labels."""

    breaker: BreakerTemplate
    rule: OutcomeRule
    labels: Sequence[str] = ()


def read_access_log(
    text: IO[str], mapping: AccessLogMapping
) -> Iterator[ObservedCall | Unreadable]:
    """The calls in an access log, and the lines that can't be read.

    Raises:
        ImportTraceError: The mapping names a field that there is not.
    """
    for name in (*mapping.breaker.fields, *mapping.labels):
        if name not in FIELDS:
            raise ImportTraceError(f"there is no field {name!r}; there are {', '.join(FIELDS)}")
    for number, line in lines_of(text):
        if line is None:
            yield Unreadable(number, too_long())
            continue
        try:
            yield _call(_fields(line), mapping)
        except ValueError as error:
            yield Unreadable(number, str(error))


def _fields(line: str) -> dict[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it is not in the combined format")
    fields = dict(zip(FIELDS, (value or "" for value in match.groups()), strict=False))
    # A request that is no HTTP, such as a TLS handshake, has no method and path.
    method, _, rest = fields["request"].partition(" ")
    path = rest.rpartition(" ")[0] or rest
    fields |= {"method": method, "path": path, "route": f"{method} {path.partition('?')[0]}"}
    return fields


def _call(fields: dict[str, str], mapping: AccessLogMapping) -> ObservedCall:
    outcome = mapping.rule(fields["status"])
    moment = datetime.strptime(fields["time"], "%d/%b/%Y:%H:%M:%S %z")
    return ObservedCall(
        breaker=mapping.breaker.name(fields),
        start=nanoseconds_between(EPOCH, moment),
        took=0,
        outcome=outcome,
        error=None if outcome is Outcome.SUCCEEDED else fields["status"],
        labels={name: fields[name] for name in mapping.labels},
    )
