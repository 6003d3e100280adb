"""Outages are runs of failures, in the order in which the calls ended."""

from observed import calls_of

from recloser.simulate.call_table import FAILED, IGNORED, SUCCEEDED, UNKNOWN
from recloser.whatif.costs import Outage, outages_of


def test_only_a_success_ends_an_outage():
    second = 10**9
    codes = [SUCCEEDED, FAILED, IGNORED, FAILED, UNKNOWN, FAILED, SUCCEEDED, FAILED, FAILED]
    calls = calls_of([(n * second, 0, code) for n, code in enumerate(codes)])
    assert outages_of(calls, 3) == [Outage(1 * second, 6 * second, 3)]
    assert outages_of(calls, 2)[1] == Outage(7 * second, None, 2)
