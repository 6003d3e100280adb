"""Imports of trace text that is given as a string."""

from observed_calls import ObservedCall

from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules
from recloser.importers.trace_import import TraceImport


def ready(
    tmp_path,
    text,
    *,
    own=None,
    unwrap=None,
    format=None,  # noqa: A002  # as the option
    log_format=None,
    regex=None,
    records=None,
    header=None,
    where=None,
    outcome=None,
    among=(),
    fields=None,
    producers=False,
    **options,
):
    """Make an import of a text, ready to run."""
    path = tmp_path / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return TraceImport(
        Inputs([str(path)]),
        ImportRequest(
            format=format,
            log_format=log_format,
            regex=regex,
            unwrap=unwrap,
            records=records,
            header=header,
            where=where,
            outcome=outcome,
            among=among,
            fields=fields or {},
            user_rules=own or UserRules(),
            options=CallOptions(**options),
            producers=producers,
        ),
    )


def zone_of(description):
    """The options for the sample of a format, whose times may name no zone."""
    return ("--zone", "UTC") if description.name in ("haproxy-http", "openstack-nova-api") else ()


def imported(tmp_path, text, **request):
    """Import a text; return its calls and what could not be read."""
    return calls_and_unreadable(ready(tmp_path, text, **request))


def calls_and_unreadable(trace_import, through=iter):
    """Run an import; return its calls and what could not be read."""
    calls, unreadable = [], []
    for batch in through(trace_import.calls()):
        unreadable += batch.unreadable
        for row in range(len(batch)):
            labels = {} if batch.labels is None else batch.labels[row]
            calls.append(
                ObservedCall(
                    batch.breaker[row],
                    batch.start[row],
                    batch.took[row],
                    batch.outcome[row],
                    batch.error[row],
                    labels,
                )
            )
    return calls, unreadable


def all_of(tmp_path, text, **request):
    """Import a text; return its calls, what could not be read, and the counts of what was skipped."""
    trace_import = ready(tmp_path, text, **request)
    calls, unreadable, skipped = [], [], {}

    def noting(batches):
        for batch in batches:
            for what, count in batch.skipped.items():
                skipped[what] = skipped.get(what, 0) + count
            yield batch

    calls, unreadable = calls_and_unreadable(trace_import, noting)
    return calls, unreadable, skipped
