"""States moved to other times."""

from kernel_breakers import SECOND, breaker, fail, half_open, of_each_kernel, succeed, thresholds


@of_each_kernel
def test_retimed_open_breaker_keeps_its_cooldown(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, 100, 7)
    of.retime(state, lambda at: at * 3)
    assert (state.opened_at, state.deadline, state.half_open_at) == (300, 307, -1)
    state.deadline = of.NEVER - 1
    of.retime(state, lambda at: at * 2)
    assert (state.opened_at, state.deadline) == (600, of.NEVER)


@of_each_kernel
def test_retimed_breaker_that_is_forced_open_never_cools(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, 0, -1)
    of.retime(state, lambda at: at + 50)
    assert (state.opened_at, state.deadline) == (50, of.NEVER)


@of_each_kernel
def test_retimed_probes_keep_their_timeouts(of):
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
def test_retimed_time_window_groups_outcomes_by_their_new_seconds(of):
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
def test_count_window_is_not_retimed(of):
    state = breaker(of, 0, thresholds(of, 4, failures=4))
    fail(of, state, 1, at=5)
    of.retime(state, lambda _: 1 / 0)
    assert state.window.to_data() == [1 << 2 | 2]
