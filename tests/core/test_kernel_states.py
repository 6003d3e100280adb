"""Questions to a state and changes of one beside events: other thresholds, other times."""

from test_kernel import SECOND, breaker, fail, half_open, of_each_kernel, succeed, thresholds


@of_each_kernel
def test_other_thresholds_judge_what_was_counted_before(of):
    state = breaker(of, 3, thresholds(of, 4, failures=4))
    for seq in (1, 2):
        assert fail(of, state, seq) == of.NO_RULE
    state.is_disabled = True
    strict = breaker(of, 0, thresholds(of, 4, failures=3)).rules
    of.judge_by(state, strict)
    assert state.window.thresholds is strict.window
    assert (state.window.failures, state.consecutive_failures) == (2, 2)
    assert fail(of, state, 3) == of.WINDOW_FAILURES


@of_each_kernel
def test_thresholds_without_a_window_drop_the_window(of):
    state = breaker(of, 0, thresholds(of, 4, failures=4))
    fail(of, state, 1)
    of.judge_by(state, breaker(of, 2).rules)
    assert state.window is None
    assert fail(of, state, 2) == of.CONSECUTIVE_FAILURES


@of_each_kernel
def test_a_window_is_none_where_there_was_none(of):
    state = breaker(of, 2)
    of.judge_by(state, breaker(of, 0, thresholds(of, 4, failures=1)).rules)
    assert state.window is None
    assert fail(of, state, 1) == of.NO_RULE


@of_each_kernel
def test_only_a_share_of_slow_calls_trips_without_failures(of):
    by_slowness = thresholds(of, 4, failures=1, slow_num=1, slow_den=2)
    assert of.needs_failures(breaker(of, 1).rules)
    assert of.needs_failures(breaker(of, 0, thresholds(of, 4, failures=1)).rules)
    assert not of.needs_failures(breaker(of, 1, by_slowness).rules)


@of_each_kernel
def test_probes_that_were_asked_for_take_places(of):
    state = half_open(of, max_probes=3)
    of.step(state, of.ADMITTED, 1, 0, 0, 1, 1, 1)
    assert [of.may_probe(state, asked) for asked in (0, 1, 2)] == [True, True, False]
    windowed = half_open(of, probe_window=thresholds(of, 3, failures=3))
    of.step(windowed, of.ADMITTED, 1, 0, 0, 1, 1, 1)
    succeed(of, windowed, 2, probe=1)
    assert [of.may_probe(windowed, asked) for asked in (0, 1, 2)] == [True, True, False]


@of_each_kernel
def test_an_open_breaker_cools_as_long_from_another_time(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, 100, 7)
    of.retime(state, lambda at: at * 3)
    assert (state.opened_at, state.deadline, state.half_open_at) == (300, 307, -1)
    state.deadline = of.NEVER - 1
    of.retime(state, lambda at: at * 2)
    assert (state.opened_at, state.deadline) == (600, of.NEVER)


@of_each_kernel
def test_one_that_is_forced_open_never_cools_at_any_time(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, 0, -1)
    of.retime(state, lambda at: at + 50)
    assert (state.opened_at, state.deadline) == (50, of.NEVER)


@of_each_kernel
def test_probes_are_overdue_as_long_after_their_other_times(of):
    state = half_open(of, max_probes=3, half_open_timeout_ns=90 * SECOND)
    for probe, at in ((1, 10), (2, 20), (3, 30)):
        of.step(state, of.ADMITTED, probe, at, 0, 1, probe, 1)
    succeed(of, state, 4, at=40, probe=2)
    of.retime(state, lambda at: at + 1000)
    assert state.half_open_at == 1000
    assert state.probes.to_list() == [1, 1010, 3, 1030]
    assert state.deadline == 1010 + 60 * SECOND
    of.retime(half_open(of), lambda at: at)


@of_each_kernel
def test_outcomes_stay_in_the_seconds_that_they_fall_in_then(of):
    state = breaker(of, 0, thresholds(of, 60, is_timed=True, failures=9))
    for seq, second in enumerate((0, 3, 4, 9)):
        fail(of, state, seq, at=second * SECOND, took=1000)
        succeed(of, state, seq, at=second * SECOND)
    of.retime(state, lambda at: at // 2)
    assert state.window.to_data() == [
        [0, 0, 0, 2, 1, 1],
        [1, 1, 1, 2, 1, 1],
        [2, 2, 2, 2, 1, 1],
        [4, 3, 3, 2, 1, 1],
    ]
    of.retime(state, lambda at: at // 2)
    assert state.window.to_data() == [[0, 0, 1, 4, 2, 2], [1, 2, 2, 2, 1, 1], [2, 3, 3, 2, 1, 1]]
    assert (state.window.calls, state.window.failures, state.window.slow) == (8, 4, 4)


@of_each_kernel
def test_a_window_of_outcomes_has_no_times(of):
    state = breaker(of, 0, thresholds(of, 4, failures=4))
    fail(of, state, 1, at=5)
    of.retime(state, lambda _: 1 / 0)
    assert state.window.to_data() == [1 << 2 | 2]
