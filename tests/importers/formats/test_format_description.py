"""Every format reads its own sample, and is detected by it."""

from datetime import UTC

import pytest
from import_support import ready, zone_of

from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField, all_formats, format_named

CONCRETE = [each for each in all_formats() if not each.is_abstract]


@pytest.mark.parametrize("description", CONCRETE, ids=[each.name for each in CONCRETE])
def test_format_is_detected_by_its_sample_and_reads_all_of_it(tmp_path, description):
    zone = UTC if zone_of(description) else None
    breaker = description.breaker or "any"
    trace_import = ready(tmp_path, description.sample.lstrip(), breaker=breaker, zone=zone)
    batches = list(trace_import.calls())
    records = description.records
    rows = description.sample.strip().splitlines()
    comments = [row for row in rows if row.startswith(records.get("comment", "\n"))]
    header = records["kind"] == "delimited" and "header" not in records
    skipped = sum(sum(batch.skipped.values()) for batch in batches)
    split = sum(1 for row in rows if description.attempts is not None and "502, 403" in row)
    assert trace_import.format.description.name == description.name
    assert [bad for batch in batches for bad in batch.unreadable] == []
    assert sum(map(len, batches)) - split + skipped == len(rows) - len(comments) - header
    trace_import.classifier.check_unknown()


@pytest.mark.parametrize("description", CONCRETE, ids=[each.name for each in CONCRETE])
def test_every_format_names_its_source(description):
    assert description.title
    assert description.source.startswith("https://") or description.name in ("csv", "json")


def test_format_inherits_from_the_format_that_it_is_like():
    istio, envoy = format_named("istio"), format_named("envoy")
    assert (istio.outcome, istio.breaker, istio.records["language"]) == (
        envoy.outcome, "{target}", "envoy",
    )  # fmt: skip
    assert envoy.is_abstract
    assert not istio.is_abstract


def test_unknown_format_is_refused_with_the_existing_ones():
    with pytest.raises(
        ImportTraceError, match="no format 'nope'; the formats are apache-combined, apache-"
    ):
        format_named("nope")


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("request_time:s", TimeField("request_time", "s")),
        ("duration_ms", TimeField("duration_ms", "ms")),
        ("time", TimeField("time", None)),
        ("@timestamp:auto", TimeField("@timestamp", "auto")),
    ],
)
def test_time_field_is_parsed_with_its_unit(text, role):
    assert TimeField.parse(text) == role
    assert str(role) == text
