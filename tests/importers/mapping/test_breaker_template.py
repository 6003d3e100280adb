"""Names of breakers, made from the fields of calls."""

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.mapping.breaker_template import BreakerTemplate


def test_template_names_breakers_from_fields():
    template = BreakerTemplate("{caller}->{target} {{x}}")
    assert template.fields == ["caller", "target"]
    assert template.names([["a", "b"], ["{b}", "c"]], 2) == ["a->{b} {x}", "b->c {x}"]


def test_template_without_fields_names_every_call_alike():
    assert BreakerTemplate("100 %").names([], 2) == ["100 %", "100 %"]


@pytest.mark.parametrize("template", ["{a.b!r}", "{a:>10}", "{}", "{", "}", "{ }"])
def test_template_with_anything_but_plain_fields_is_refused(template):
    with pytest.raises(ImportTraceError, match="--breaker"):
        BreakerTemplate(template)


def test_field_with_a_point_is_a_name_and_not_an_attribute():
    assert BreakerTemplate("{server.address}").names([["x"]], 1) == ["x"]
