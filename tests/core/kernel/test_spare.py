"""How many calls may fail or be slow before a rule can fire, whatever else comes and in what order."""

from drawn_settings import MS, SECOND, SLOW_NS, configs
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_driver import kernels

from recloser.core.rules import rules_of

kinds = st.sampled_from(["success", "success", "failure", "slow", "ignored"])
histories = st.lists(st.tuples(kinds, st.integers(0, 700)), max_size=30)
BAD = ("failure", "slow")


class Driven:
    """A kernel that is given calls until a rule fires."""

    def __init__(self, kernel, config):
        self.kernel = kernel
        self.state = kernel.State(rules_of(config))
        self.seq = self.at = 0

    def call(self, kind, ms=0):
        """Whether the call fired a rule."""
        kernel = self.kernel
        self.seq += 1
        self.at += ms * MS
        row = {"failure": kernel.FAILED, "ignored": kernel.IGNORED}.get(kind, kernel.SUCCEEDED)
        took = SLOW_NS + 1 if kind == "slow" else 0
        return kernel.step(self.state, row, self.seq, self.at, took, 0, 0, 1) != kernel.NO_RULE


def at_a_state(kernel, config, history):
    driven = Driven(kernel, config)
    assume(not any(driven.call(kind, ms) for kind, ms in history))
    return driven


@given(configs, histories, histories)
def test_no_rule_fires_while_there_are_some_to_spare(config, history, future):
    for kernel in kernels():
        driven = at_a_state(kernel, config, history)
        spare = kernel.spare_calls(driven.state, True)
        assume(spare >= 0)
        for kind, ms in future:
            spare -= kind in BAD
            if spare < 0:
                break
            assert not driven.call(kind, ms)


@given(configs, histories, histories)
def test_within_a_second_of_a_window_there_may_be_more(config, history, future):
    for kernel in kernels():
        driven = at_a_state(kernel, config, history)
        window = driven.state.window
        spare, until = kernel.spare_calls(driven.state, False), kernel.NEVER
        assert spare >= kernel.spare_calls(driven.state, True)
        if window is not None and window.thresholds.is_timed:
            until = kernel.keeps_until(window)
        for kind, ms in future:
            spare -= kind in BAD
            if spare < 0 or driven.at + ms * MS >= until:
                break
            assert not driven.call(kind, ms)


@given(st.integers(1, 20), st.integers(0, 20))
def test_of_failures_in_a_row_one_too_many_opens_it(threshold, before):
    from recloser import CircuitBreakerConfig

    config = CircuitBreakerConfig(failure_threshold=threshold)
    for kernel in kernels():
        driven = at_a_state(kernel, config, [("failure", 1)] * before)
        spare = kernel.spare_calls(driven.state, True)
        assert [driven.call("failure") for _ in range(spare + 1)] == [*[False] * spare, True]
        assert driven.at < SECOND
