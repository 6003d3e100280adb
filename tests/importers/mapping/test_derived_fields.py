"""Fields are made from other fields, in whatever order they are defined."""

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.mapping.derived_fields import RecordFields


def made(name, columns, defined):
    fields = RecordFields(list(columns), defined)
    needed = fields.needed([name])
    return list(fields.column(name, {field: columns[field] for field in needed}))


def test_derived_field_may_use_one_that_is_defined_later():
    defined = {"target": {"host_of": "either"}, "either": {"first_of": ["url", "name"]}}
    columns = {"url": ["http://a:80/x", None, ""], "name": ["n", "https://u:p@b/", "plain"]}
    assert made("target", columns, defined) == ["a:80", "b", "plain"]


def test_route_is_made_from_the_formats_method_and_path():
    defined = {"method": {"first_of": ["m"]}, "path": {"first_of": ["p"]}}
    assert made("route", {"m": ["GET"], "p": ["/a?b"]}, defined) == ["GET /a"]


@pytest.mark.parametrize(
    ("definition", "values", "expected"),
    [
        ({"first_of": ["a", "b"]}, (["-", None], ["x", ""]), ["x", None]),
        ({"first_of": ["a", "b"], "after": "|"}, (["in|80||", "out|80||x"], ["y", "z"]), ["y", "x"]),
        ({"first_of": ["a"], "empty": ["-1"]}, (["-1", "0.5"], []), [None, "0.5"]),
        ({"first_of": ["a"], "only": ["ERROR"]}, (["ERROR", "LOG"], []), ["ERROR", None]),
        ({"joined": ["a", "b"]}, (["x", None], ["y", 0]), ["x y", "- 0"]),
        ({"joined": ["a", "b"], "zone": "UTC"}, (["2024-05-01"], ["10:00:02"]), ["2024-05-01 10:00:02 UTC"]),
        ({"between": "a", "texts": ["took ", " ms"]}, (["took 7 ms", "took 7 s", "7 ms"], []), ["7", None, None]),
        ({"host_of": "a"}, (["http://[x/", ["u"]], []), ["http://[x/", "['u']"]),
    ],
)  # fmt: skip
def test_derived_fields_are_made_as_defined(definition, values, expected):
    columns = {"a": values[0], "b": values[1] or [None] * len(values[0])}
    assert made("made", columns, {"made": definition}) == expected


def test_derived_field_without_its_sources_does_not_exist():
    defined = {"target": {"first_of": ["x"]}}
    with pytest.raises(ImportTraceError, match="there is no field 'target'; the fields are a"):
        made("target", {"a": [1]}, defined)
