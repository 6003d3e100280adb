"""Calls out of the access logs of proxies, which tell of the upstream: Envoy, Istio, nginx.

Envoy's default text is read as it stands. JSON has keys that its users choose: the usual ones of
Envoy, Istio and nginx are known, others are named by options.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Final

from attrs import frozen

from recloser.clock import nanoseconds_between
from recloser.events import REFUSED, Outcome
from recloser.importers.documents import values_of
from recloser.importers.fields import EPOCH, BreakerTemplate, OutcomeRule, parse_moment, parse_ns
from recloser.importers.source import lines_of, too_long
from recloser.importers.trace import ObservedCall, Unreadable

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "start": ("start_time",),
    "end": ("time_iso8601", "msec", "timestamp", "@timestamp", "time", "time_local"),
    "duration_ms": ("duration",),
    "duration_s": ("request_time",),
    "status": ("response_code", "status"),
    "flags": ("response_flags",),
    "target": (
        "upstream_cluster",
        "proxy_upstream_name",
        "authority",
        "host",
        "requested_server_name",
    ),
    "method": ("method", "request_method"),
    "path": ("path", "uri", "request_uri"),
    "upstream": ("upstream_host", "upstream_addr"),
    "upstream_status": ("upstream_status",),
    "upstream_s": ("upstream_response_time",),
}
"""The keys of JSON that each role is looked for under, in this order."""

_FAILING: Final = frozenset(["UH", "UF", "UT", "UC", "UR", "LR", "URX", "UMSDR", "UPE", "DF"])
_REFUSING: Final = frozenset(("UO", "RL", "RLSE"))
_NOT_OF_UPSTREAM: Final = frozenset(["NR", "NC", "UAEX", "DC", "DI", "FI"])
_CLIENT_LEFT: Final = "0"

_ENVOY: Final = re.compile(
    r'\[(?P<start>[^\]]+)\] "(?P<method>\S+) (?P<path>.*?) (?P<protocol>[^" ]+)" '
    r"(?P<status>\d+) (?P<flags>\S+) (?:\S+ \"[^\"]*\" )?(?:\"[^\"]*\" )?(?P<received>\d+) "
    r"(?P<sent>\d+) (?P<duration_ms>\d+) (?P<upstream_ms>\S+) \"(?P<forwarded>[^\"]*)\" "
    r'"(?P<agent>[^"]*)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)" "(?P<upstream>[^"]*)"'
    r"(?: (?P<cluster>\S+))?.*"
)
_ATTEMPTS: Final = re.compile(r"\s*[,:]\s+")
_MS: Final = 1_000_000
_S: Final = 1_000_000_000


@frozen(kw_only=True)
class ProxyMapping:
    """What is made of each line.

    Attributes:
        breaker: Names its breaker from ``{target}``, ``{route}``, ``{method}``, ``{path}``,
            ``{upstream}`` and, in JSON, from every key.
        rule: Tells a failure by the status.
        labels: The fields to keep.
        keys: For JSON, the key of each role that has another than those of ``KEYS``.
    """

    breaker: BreakerTemplate
    rule: OutcomeRule
    labels: Sequence[str] = ()
    keys: Mapping[str, str] = {}


def read_envoy(text: IO[str], mapping: ProxyMapping) -> Iterator[ObservedCall | Unreadable]:
    """The calls in an access log of Envoy in its default format, or that of Istio."""
    for number, line in lines_of(text):
        match = None if line is None else _ENVOY.fullmatch(line)
        if match is None:
            yield Unreadable(number, too_long() if line is None else "it is not in Envoy's format")
            continue
        fields = {name: value or "" for name, value in match.groupdict().items()}
        fields["target"] = _cluster(fields["cluster"]) or fields["authority"]
        yield from _read(fields, mapping, number)


def read_json_log(text: IO[str], mapping: ProxyMapping) -> Iterator[ObservedCall | Unreadable]:
    """The calls in an access log of one JSON object a line."""
    for value in values_of(text, "logs"):
        if isinstance(value, Unreadable):
            yield value
            continue
        number, data = value
        if isinstance(data, dict):
            yield from _read(_roles(data, mapping), mapping, number)
        else:
            yield Unreadable(number, "it is no JSON object")


def _roles(data: Mapping[str, Any], mapping: ProxyMapping) -> dict[str, str]:
    """The fields of a JSON object, and the roles that some of them have."""
    fields = {key: "" if value is None else str(value) for key, value in data.items()}
    roles = {}
    for role, names in KEYS.items():
        chosen = (mapping.keys[role],) if role in mapping.keys else names
        found = (fields[name] for name in chosen if fields.get(name, "-") not in ("", "-"))
        roles[role] = next(found, "")
    roles["target"] = _cluster(roles["target"])
    return fields | roles


def _read(
    fields: dict[str, str], mapping: ProxyMapping, number: int
) -> Iterator[ObservedCall | Unreadable]:
    fields["route"] = f"{fields['method']} {fields['path'].partition('?')[0]}".strip()
    try:
        yield from list(_attempts(fields, mapping))
    except KeyError as error:
        yield Unreadable(number, f"there is no {error.args[0]} in it")
    except ValueError as error:
        yield Unreadable(number, str(error))


def _attempts(fields: Mapping[str, str], mapping: ProxyMapping) -> Iterator[ObservedCall]:
    """The calls to the upstream that one request came to: several where nginx has tried again."""
    start, took = _times(fields)
    statuses = _ATTEMPTS.split(fields.get("upstream_status", ""))
    if len(statuses) == 1:
        yield _call(fields, mapping, start, took, statuses[0] or fields["status"])
        return
    tooks = [_seconds(text) for text in _ATTEMPTS.split(fields["upstream_s"])]
    if len(tooks) != len(statuses):
        raise ValueError("upstream_status and upstream_response_time are not of one length")
    for index, (status, attempt) in enumerate(zip(statuses, tooks, strict=True)):
        if status != "-" or index < len(statuses) - 1:
            yield _call(fields, mapping, start, attempt, "502" if status == "-" else status)
        start += attempt


def _call(
    fields: Mapping[str, str], mapping: ProxyMapping, start: int, took: int, status: str
) -> ObservedCall:
    flags = [flag for flag in fields.get("flags", "").split(",") if flag not in ("", "-")]
    refused = not _REFUSING.isdisjoint(flags)
    if not re.fullmatch(r"\d{1,3}", status):
        raise ValueError(f"{status!r} is no status")
    if not fields["target"]:
        raise KeyError("target")
    if refused or not _NOT_OF_UPSTREAM.isdisjoint(flags) or status == _CLIENT_LEFT:
        outcome = Outcome.IGNORED
    elif not _FAILING.isdisjoint(flags):
        outcome = Outcome.FAILED
    else:
        # 499 is about the client, whatever an upstream may have been about to say.
        own = fields["status"]
        outcome = mapping.rule(own if own == "499" else status)
    labels = {name: fields[name] for name in mapping.labels if name in fields}
    if refused:
        labels[REFUSED] = ",".join(flags)
    return ObservedCall(
        breaker=mapping.breaker.name(fields),
        start=start,
        took=took,
        outcome=outcome,
        error=None if outcome is Outcome.SUCCEEDED else ",".join([status, *flags]),
        labels=labels,
    )


def _times(fields: Mapping[str, str]) -> tuple[int, int]:
    took = 0
    if fields.get("duration_ms"):
        took = parse_ns(fields["duration_ms"], _MS)
    elif fields.get("duration_s"):
        took = parse_ns(fields["duration_s"], _S)
    if fields.get("start"):
        return _moment(fields["start"]), took
    if not fields.get("end"):
        raise KeyError("time")
    start = _moment(fields["end"]) - took
    if start < 0:
        raise ValueError("it started before 1970")
    return start, took


def _moment(text: str) -> int:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return parse_ns(text, _S)
    if "/" in text:
        return nanoseconds_between(EPOCH, datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z"))
    return parse_moment(text, None)


def _seconds(text: str) -> int:
    return 0 if text in ("", "-") else parse_ns(text, _S)


def _cluster(name: str) -> str:
    """A cluster of Istio, ``outbound|9080|v1|reviews.ns.svc.cluster.local``, by its last field."""
    return "" if name == "-" else name.rpartition("|")[2]
