"""``recloser import access-log``: requests from the access log of a proxy or web server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from recloser.cli.commands.import_options import FAILURES, format_options, import_as
from recloser.cli.options import examples
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField, all_formats
from recloser.importers.import_request import ImportRequest
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules

_FIELDS: Final[Mapping[str, str]] = {
    "start": "start_time",
    "end": "time_iso8601",
    "duration_ms": "duration_ms",
    "duration_s": "duration_s",
    "status": "status",
    "flags": "response_flags",
    "target": "target",
    "method": "method",
    "path": "path",
    "upstream": "upstream",
    "upstream_status": "upstream_status",
    "upstream_s": "upstream_response_time",
}
"""The field of JSON formats for each role that ``--key`` can name."""

_CLIENT_CLOSED_REQUEST: Final = ("499",)


@click.command(
    "access-log",
    short_help="An access log: combined, Envoy's, or JSON.",
    epilog="Fields for --breaker and --label: host, ident, user, time, request, status, bytes, "
    "referer, agent, method, path and route in the combined format; target, method, path, route, "
    "upstream and each key of the JSON in the others.\n\n"
    + examples(
        "recloser import access-log access.log -o calls --breaker '{host}'",
        "recloser import access-log proxy.jsonl -o calls --format json --breaker '{upstream}' \\",
        "    --key status=code --key end=time",
    ),
)
@format_options(ignored=_CLIENT_CLOSED_REQUEST)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["combined", "envoy", "json"]),
    default="combined",
    show_default=True,
    help="The combined format of Apache and nginx, the default text format of Envoy, or JSON of any "
    "proxy. The last two can name the upstream of a request.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="ROLE=KEY",
    help="With --format json, the key that holds a role; can be repeated. The roles are "
    f"{', '.join(_FIELDS)}.",
)
def command(
    *,
    file: str,
    out: Path,
    breaker: str,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    kind: str,
    keys: Sequence[str],
    **result: Any,
) -> int:
    """Import requests from an access log.

    499 is how nginx logs that the client closed the connection. Of Envoy's response flags, those
    about the upstream count as failures; a request that Envoy itself rejected (UO, RL) is imported
    with an unknown outcome.
    """
    if keys and kind != "json":
        raise ImportTraceError(f"--key is for --format json, not for {kind}")
    assigned = _assigned_keys(keys)
    format_ = "apache-combined" if kind == "combined" else "json" if assigned else None
    # Options left at their defaults make no rules of their own: those of the formats then apply,
    # which judge flags before the status.
    user_rules = UserRules(
        failed=() if tuple(failures) == FAILURES else failures,
        ignored=() if tuple(ignored) == _CLIENT_CLOSED_REQUEST else ignored,
    )
    request = ImportRequest(
        format=format_,
        among=() if format_ else _formats_of(kind),
        user_rules=user_rules,
        options=_with_times(CallOptions(breaker=breaker, labels=labels), assigned),
        fields={_FIELDS[role]: key for role, key in assigned.items()},
    )
    return import_as(request, file, out, **result)


def _formats_of(kind: str) -> Sequence[str]:
    """The formats to recognise for a value of ``--format``."""
    if kind == "envoy":
        return ["envoy-default", "istio", "istio-before-1.9"]
    return [
        each.name
        for each in all_formats()
        if each.records.get("kind") == "json" and not each.is_abstract
    ]


def _with_times(options: CallOptions, assigned: Mapping[str, str]) -> CallOptions:
    """Add the fields of start, end and duration for which keys are given."""
    start, end = (
        TimeField(assigned[role], "auto") if role in assigned else None for role in ("start", "end")
    )
    duration = None
    if start is None or end is None:  # two of the three suffice
        for role, unit in (("duration_ms", "ms"), ("duration_s", "s")):
            if role in assigned:
                duration = TimeField(assigned[role], unit)
                break
    return attrs.evolve(options, start=start, end=end, duration=duration)


def _assigned_keys(assignments: Sequence[str]) -> Mapping[str, str]:
    """The key for each role, from every ``ROLE=KEY``."""
    keys = {}
    for assignment in assignments:
        role, equals, key = assignment.partition("=")
        if not equals or role not in _FIELDS:
            raise ImportTraceError(
                f"--key is ROLE=KEY with a role of {', '.join(_FIELDS)}, not {assignment!r}"
            )
        keys[role] = key
    return keys
