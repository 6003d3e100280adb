"""Every format in the package reads its own sample, and is recognised by it."""

from datetime import UTC

import pytest
from import_support import ready, zone_of

from recloser.errors import ImportTraceError
from recloser.importers.descriptions import Role, description_of, descriptions

CONCRETE = [each for each in descriptions() if not each.is_abstract]


@pytest.mark.parametrize("description", CONCRETE, ids=[each.name for each in CONCRETE])
def test_a_format_is_recognised_by_its_sample_and_reads_all_of_it(tmp_path, description):
    zone = UTC if zone_of(description) else None
    breaker = description.breaker or "any"
    of_import = ready(tmp_path, description.sample.lstrip(), breaker=breaker, zone=zone)
    batches = list(of_import.calls())
    records = description.records
    rows = description.sample.strip().splitlines()
    comments = [row for row in rows if row.startswith(records.get("comment", "\n"))]
    header = records["kind"] == "delimited" and "header" not in records
    skipped = sum(sum(batch.skipped.values()) for batch in batches)
    split = sum(1 for row in rows if description.attempts is not None and "502, 403" in row)
    assert of_import.understood.description.name == description.name
    assert [bad for batch in batches for bad in batch.unreadable] == []
    assert sum(map(len, batches)) - split + skipped == len(rows) - len(comments) - header
    of_import.judge.check_unknown()


@pytest.mark.parametrize("description", CONCRETE, ids=[each.name for each in CONCRETE])
def test_a_format_names_its_source(description):
    assert description.title
    assert description.source.startswith("https://") or description.name in ("csv", "json")


def test_a_format_takes_what_it_does_not_say_from_the_one_it_is_like():
    istio, envoy = description_of("istio"), description_of("envoy")
    assert (istio.outcome, istio.breaker, istio.records["language"]) == (
        envoy.outcome, "{target}", "envoy",
    )  # fmt: skip
    assert envoy.is_abstract
    assert not istio.is_abstract


def test_a_format_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(
        ImportTraceError, match="no format 'nope'; there are apache-combined, apache-"
    ):
        description_of("nope")


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("request_time:s", Role("request_time", "s")),
        ("duration_ms", Role("duration_ms", "ms")),
        ("time", Role("time", None)),
        ("@timestamp:auto", Role("@timestamp", "auto")),
    ],
)
def test_a_role_is_a_field_and_its_unit(text, role):
    assert Role.parse(text) == role
    assert str(role) == text
