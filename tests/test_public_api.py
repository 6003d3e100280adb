"""The public names: none disappears, and none appears, without a line in ``public_api.txt``."""

import pytest

from conftest import ROOT

public_api = pytest.importorskip("public_api", reason="griffe is missing: install recloser[dev]")
LISTED = (ROOT / "tests" / "public_api.txt").read_text().splitlines()


def test_public_names_and_parameters_are_as_listed():
    found = public_api.public_names()
    assert sorted(set(LISTED) - set(found)) == [], "public names or parameters have disappeared"
    assert sorted(set(found) - set(LISTED)) == [], "run `python tools/public_api.py --write`"


def test_list_contains_names_that_users_import():
    assert "recloser.CircuitBreaker.before_call()" in LISTED
    assert "recloser.redis.RedisLog" in LISTED
    assert "recloser.integrations.httpx.BreakerTransport" in LISTED
