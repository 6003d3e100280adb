"""Settings as the numbers that the kernel compares."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, CountWindow
from recloser.core.limits import MAX_SETTING
from recloser.core.rules import least_from, rules_of

rates = st.fractions(0, 1).filter(lambda rate: rate > 0)


@given(rates, st.integers(1, 40))
@example(Fraction("0.3333333333333333"), 9)
@example(Fraction("0.6666666666666666"), 9)
@example(Fraction("0.9999999999999999"), 40)
def test_least_fraction_from_a_rate_equals_brute_force(rate, most):
    shares = {Fraction(part, whole) for whole in range(1, most + 1) for part in range(whole + 1)}
    if rate.denominator > most:
        assert least_from(rate, most) == min(share for share in shares if share >= rate)


@pytest.mark.parametrize("rate", [1 / 3, 2 / 3, 0.123456789012, Fraction(1, 10**20)])
def test_a_rate_of_many_digits_is_compared_by_terms_below_2_to_the_31st(rate):
    rules = rules_of(CircuitBreakerConfig(window=CountWindow(30, rate))).window
    assert 0 < rules.failure_num <= rules.failure_den <= MAX_SETTING
    exact = Fraction(str(rate))
    for calls in range(1, 31):
        for failures in range(calls + 1):
            by_terms = failures * rules.failure_den >= rules.failure_num * calls
            assert by_terms == (Fraction(failures, calls) >= exact)
