"""Imports of text that tests write down."""

from observed_calls import ObservedCall

from recloser.importers.inputs import Inputs
from recloser.importers.outcome_rules import OwnRules
from recloser.importers.pipeline import Import, Request
from recloser.importers.roles import CallOptions


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
    """An import of the text, ready to run."""
    path = tmp_path / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Import(
        Inputs([str(path)]),
        Request(
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
            own=own or OwnRules(),
            options=CallOptions(**options),
            producers=producers,
        ),
    )


def zone_of(description):
    """The options that the sample of a format needs, as its times name no zone."""
    return ("--zone", "UTC") if description.name in ("haproxy-http", "openstack-nova-api") else ()


def imported(tmp_path, text, **request):
    """The calls in the text, and what of it could not be read."""
    return calls_and_unreadable(ready(tmp_path, text, **request))


def calls_and_unreadable(of_import, through=iter):
    """The calls of an import, and what could not be read."""
    calls, unreadable = [], []
    for batch in through(of_import.calls()):
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
    """The calls in the text, what could not be read, and what was left out, by what it is."""
    of_import = ready(tmp_path, text, **request)
    calls, unreadable, skipped = [], [], {}

    def noting(batches):
        for batch in batches:
            for what, count in batch.skipped.items():
                skipped[what] = skipped.get(what, 0) + count
            yield batch

    calls, unreadable = calls_and_unreadable(of_import, noting)
    return calls, unreadable, skipped
