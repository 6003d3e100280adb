"""The kernel by itself: what its windows hold, what it costs, and its first and last possible numbers."""

import pickle
import sys
import time
from array import array
from collections import deque
from random import Random

import pytest
from attrs import astuple, evolve
from hypothesis import example, given
from hypothesis import strategies as st
from kernel_driver import Row, columns, kernels

from recloser.core import kernel
from recloser.core.limits import MAX_AT, MAX_COUNT, MAX_SEQ, MAX_SEQS, MAX_SETTING, MAX_WHOLE

SECOND = 10**9
SLOW_NS = 100

of_each_kernel = pytest.mark.parametrize(
    "of", kernels(), ids=lambda of: "compiled" if of.IS_COMPILED else "interpreted"
)


def thresholds(of, size, **given):
    numbers = {
        "is_timed": False,
        "needed": 1,
        "failures": 0,
        "failure_num": 0,
        "failure_den": 0,
        "slow_num": 0,
        "slow_den": 0,
    }
    return of.Thresholds(size, **{**numbers, **given})


def breaker(of, failure_threshold=0, window=None, max_probes=1, **given):
    numbers = {
        "slow_ns": SLOW_NS,
        "success_threshold": 2,
        "probe_window": None,
        "half_open_timeout_ns": of.NEVER,
        "probe_timeout_ns": 60 * SECOND,
    }
    rules = {"failure_threshold": failure_threshold, "window": window, "max_probes": max_probes}
    return of.State(of.Rules(**rules, **{**numbers, **given}))


def half_open(of, at=0, **given):
    state = breaker(of, **given)
    state.where = of.HALF_OPEN
    assert of.enter(state, at, -1) == of.NO_RULE
    return state


def succeed(of, state, seq, at=0, took=0, count=1, probe=0):
    return of.step(state, of.SUCCEEDED, seq, at, took, state.epoch, probe, count)


def fail(of, state, seq, at=0, took=0, probe=0):
    return of.step(state, of.FAILED, seq, at, took, state.epoch, probe, 1)


def run(of, state, rows, start=0):
    return of.run(state, of.Rows(*columns(rows)), start, len(rows))


# What windows hold.

entries = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from([1, 1, 1, 2, 3, 7, 50, MAX_COUNT])),
    max_size=60,
)


@of_each_kernel
@given(added=entries, size=st.sampled_from([1, 2, 5, 8, 9, 33]))
def test_a_window_of_outcomes_holds_the_last_ones(of, added, size):
    state = breaker(of, window=thresholds(of, size, failure_num=1, failure_den=1, needed=MAX_COUNT))
    last = deque(maxlen=size)
    for seq, (failed, slow, count) in enumerate(added, start=1):
        apply = fail if failed else succeed
        more = {} if failed else {"count": count}
        assert apply(of, state, seq, took=SLOW_NS + slow, **more) == of.NO_RULE
        times = 1 if failed else count
        last.extend([seq << 2 | failed << 1 | slow] * min(times, size))
    window = state.window
    assert expanded(window.to_data()) == list(last)
    assert window.calls == len(last)
    assert window.failures == sum(code >> 1 & 1 for code in last)
    assert window.slow == sum(code & 1 for code in last)
    if last:
        assert window.span() == (last[0] >> 2, last[-1] >> 2)
    assert len(window.numbers) <= size


@of_each_kernel
@given(added=entries, size=st.sampled_from([1, 2, 9, 33]))
def test_a_window_is_restored_from_its_data_and_copied(of, added, size):
    state = breaker(of, window=thresholds(of, size, failures=MAX_COUNT))
    for seq, (_, slow, count) in enumerate(added, start=1):
        succeed(of, state, seq, took=SLOW_NS + slow, count=count)
    window = of.Window(state.window.thresholds)
    window.restore(state.window.to_data())
    for other in (window, state.window.copy()):
        assert told(other) == told(state.window)
        other.restore([MAX_SEQ << 2])
        assert told(other) != told(state.window)


def test_a_window_and_a_ring_survive_being_pickled():
    of = kernels()[-1]
    state = breaker(of, window=thresholds(of, 5, failures=3), failure_threshold=9)
    for seq in range(1, 4):
        succeed(of, state, seq, count=2)
    fail(of, state, 4)
    again = pickle.loads(pickle.dumps(state))
    assert told(again.window) == told(state.window)
    assert again.failure_seqs.to_list() == [4]
    assert again.failed == 1


def told(window):
    return window.to_data(), window.calls, window.failures, window.slow


def expanded(data):
    pairs = [[entry, 1] if isinstance(entry, int) else entry for entry in data]
    return [code for code, count in pairs for _ in range(count)]


@of_each_kernel
def test_more_outcomes_than_a_window_holds_are_not_restored(of):
    window = of.Window(thresholds(of, 5, failures=1))
    with pytest.raises(ValueError, match="6 outcomes in a window of 5"):
        window.restore([4, [8, 5]])


@of_each_kernel
def test_probes_that_one_event_finds_overdue_are_one_entry(of):
    state = half_open(of, probe_window=thresholds(of, 9, failures=9, needed=9), max_probes=9)
    for probe in (1, 2, 3):
        of.step(state, of.ADMITTED, probe, 0, 0, state.epoch, probe, 1)
    assert of.advance(state, 9, 60 * SECOND) == of.NO_RULE
    assert state.probe_window.to_data() == [[9 << 2 | 3, 3]]
    assert state.probe_window.span() == (9, 9)
    assert state.probes.to_list() == []


# Evidence.


@of_each_kernel
def test_each_failure_of_a_run_is_kept_up_to_the_limit_and_else_the_first_and_the_last(of):
    for threshold, kept in ((MAX_SEQS, list(range(1, 401))), (MAX_SEQS + 1, [1, 400])):
        state = breaker(of, threshold)
        for seq in range(1, 401):
            fail(of, state, seq)
        assert state.failure_seqs.to_list() == kept
        succeed(of, state, 401)
        assert state.failure_seqs.to_list() == []
        fail(of, state, 402)
        assert state.failure_seqs.to_list() == [402]


@of_each_kernel
def test_no_failure_is_kept_while_the_rule_is_off(of):
    state = breaker(of)
    fail(of, state, 1)
    assert state.consecutive_failures == 1
    assert state.failure_seqs is None


# The first and the last possible numbers.


@of_each_kernel
@example(part=0, whole=2**62 - 1, num=MAX_SETTING, den=MAX_SETTING, near=0, is_near=False)
@example(part=2**31, whole=2**32 - 1, num=1, den=2, near=0, is_near=False)
@given(
    part=st.integers(0, 2**62),
    whole=st.integers(0, 2**62),
    num=st.integers(1, MAX_SETTING),
    den=st.integers(1, MAX_SETTING),
    near=st.integers(-2, 2),
    is_near=st.booleans(),
)
def test_rates_are_compared_exactly_however_many_calls_there_are(
    of, part, whole, num, den, near, is_near
):
    num = min(num, den)
    if is_near:
        part = max(0, num * whole // den + near)
    part = min(part, whole)
    window = thresholds(of, 1, is_timed=True, failure_num=num, failure_den=den)
    state = breaker(of, window=window)
    state.window.restore([[0, 1, 1, whole, part, 0]])
    rule = succeed(of, state, 2)
    is_reached = part * den >= num * (whole + 1)
    assert rule == (of.FAILURE_RATE if is_reached else of.NO_RULE)


@of_each_kernel
def test_the_largest_numbers_fit(of):
    window = thresholds(
        of, MAX_SETTING, failure_num=MAX_SETTING - 1, failure_den=MAX_SETTING, needed=MAX_SETTING
    )
    state = breaker(of, MAX_SETTING, window)
    for seq in range(MAX_SEQ - 3, MAX_SEQ):
        succeed(of, state, seq, MAX_AT, MAX_WHOLE, MAX_COUNT)
    assert state.succeeded == 3 * MAX_COUNT
    assert (state.window.calls, state.window.slow) == (MAX_SETTING, MAX_SETTING)
    fail(of, state, MAX_SEQ, MAX_AT, MAX_WHOLE)
    codes = [(MAX_SEQ - 1) << 2 | 1, MAX_SEQ << 2 | 3]
    assert state.window.to_data() == [[codes[0], MAX_SETTING - 1], codes[1]]
    assert state.window.span() == (MAX_SEQ - 1, MAX_SEQ)


@of_each_kernel
def test_the_longest_wait_from_the_last_time_on_fits(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, MAX_AT, 2**61 - 1)
    assert state.deadline == MAX_AT + 2**61 - 1


# What it costs.


@of_each_kernel
def test_outcomes_of_one_event_take_one_entry_however_many_they_are(of):
    state = breaker(of, window=thresholds(of, MAX_SETTING, failures=MAX_SETTING))
    for seq in range(1, 1001):
        succeed(of, state, seq, count=MAX_COUNT if seq % 2 else 5)
    assert len(state.window.to_data()) == 2
    assert len(state.window.numbers) <= 8


@of_each_kernel
def test_a_window_takes_8_bytes_an_outcome_and_none_before_the_first(of):
    state = breaker(of, window=thresholds(of, 100_000, failures=MAX_SETTING))
    assert len(state.window.numbers) == 0
    rows = [Row(of.SUCCEEDED, seq, 0) for seq in range(1, 100_002)]
    assert run(of, state, rows) == len(rows)
    assert sys.getsizeof(state.window.numbers) <= 8 * 100_000 + 100


def test_an_idle_breaker_is_small():
    of = kernels()[-1]
    if not of.IS_COMPILED:
        pytest.skip("the kernel is not compiled")
    state = breaker(of, window=thresholds(of, 100, failures=5))
    parts = [state, state.window, state.window.numbers]
    assert sum(map(sys.getsizeof, parts)) <= 550


@of_each_kernel
@pytest.mark.parametrize("order", ["first", "last", "middle"])
def test_probes_report_in_any_order_in_linear_time(of, order):
    """50,000 of them, where the square of that would take minutes."""
    many = 50_000
    state = half_open(of, max_probes=many, success_threshold=many)
    for probe in range(1, many + 1):
        of.step(state, of.ADMITTED, probe, probe, 0, state.epoch, probe, 1)
    probes = list(range(1, many + 1))
    if order == "last":
        probes.reverse()
    elif order == "middle":
        probes = probes[many // 2 :] + probes[: many // 2]
    begin = time.process_time()
    for probe in probes:
        assert of.step(state, of.IGNORED, probe, many, 0, state.epoch, probe, 1) == of.NO_RULE
    assert time.process_time() - begin < 10
    assert (state.ignored, state.probes.to_list(), state.deadline) == (many, [], of.NEVER)


@of_each_kernel
def test_a_probe_that_does_not_report_keeps_no_room_for_those_that_do(of):
    state = half_open(of, max_probes=2)
    for probe in range(1, 1001):
        assert of.step(state, of.ADMITTED, 1, 0, 0, 1, probe, 1) == of.NO_RULE
        if probe > 1:
            of.step(state, of.IGNORED, 1, 0, 0, 1, probe, 1)
    assert state.probes.to_list() == [1, 0]
    assert state.probes.capacity <= 8


@of_each_kernel
@given(st.lists(st.integers(0, 39), max_size=60), st.integers(0, 2))
def test_probes_leave_in_any_order(of, leaving, asks):
    state = half_open(of, max_probes=1000)
    under_way = {}

    def ask():
        probe = state.probes_admitted + 1
        under_way[probe] = 10 * probe
        assert of.step(state, of.ADMITTED, 1, 10 * probe, 0, 1, probe, 1) == of.NO_RULE

    for _ in range(20):
        ask()
    for probe in leaving:
        of.step(state, of.IGNORED, 1, 1000, 0, 1, probe, 1)
        under_way.pop(probe, None)
        for _ in range(asks):
            ask()
        assert state.probes is None or pairs(state.probes.to_list()) == under_way
        first = min(under_way.values(), default=None)
        assert state.deadline == (of.NEVER if first is None else first + 60 * SECOND)
        assert of.may_probe(state)
    state.probes.copy().extend((5, 5))
    assert pairs(state.probes.to_list()) == under_way


@of_each_kernel
@given(st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=12))
@example([[0], [0], [0, 0, 0]])
@example([[3, 1, 0], [0], [4]])
def test_as_many_probes_are_admitted_as_have_ended(of, leaving):
    state = half_open(of, max_probes=5)
    under_way = []
    for places in [[], *leaving]:
        for place in places:
            if under_way:
                probe = under_way.pop(place % len(under_way))
                of.step(state, of.IGNORED, 1, 0, 0, 1, probe, 1)
        while of.may_probe(state):
            probe = state.probes_admitted + 1
            assert of.step(state, of.ADMITTED, 1, 0, 0, 1, probe, 1) == of.NO_RULE
            under_way.append(probe)
        assert len(under_way) == 5


def pairs(numbers):
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


# Many rows at once.


@of_each_kernel
def test_rows_may_be_columns_of_any_buffer(of):
    pytest.importorskip("numpy")
    import numpy as np

    kinds = np.array([0, 1, 1], np.uint8)
    numbers = [np.array(column, np.int64) for column in ([1, 2, 3], [5, 6, 7])]
    zeros = array("q", [0, 0, 0])
    ones = memoryview(array("q", [1, 1, 1]))
    for column in numbers:
        column.flags.writeable = False
    state = breaker(of, 2)
    assert of.run(state, of.Rows(kinds, *numbers, zeros, zeros, zeros, ones), 0, 3) == 2
    assert state.fired == of.CONSECUTIVE_FAILURES
    assert state.failure_seqs.to_list() == [2, 3]


@of_each_kernel
def test_a_success_that_makes_rates_count_trips_in_the_midst_of_many(of):
    """The 50th outcome is a success, and the first at which one failure of 50 is too many."""
    window = thresholds(of, 100, failure_num=1, failure_den=50, needed=50)
    state = breaker(of, window=window)
    rows = [Row(of.FAILED if seq == 1 else of.SUCCEEDED, seq, 0) for seq in range(1, 101)]
    assert run(of, state, rows) == 49
    assert state.fired == of.FAILURE_RATE


@of_each_kernel
def test_a_success_that_begins_a_second_trips_as_older_ones_leave(of):
    state = breaker(of, window=thresholds(of, 2, is_timed=True, failure_num=1, failure_den=40))
    times = [0] * 100 + [SECOND] * 31 + [2 * SECOND] * 5
    rows = [Row(of.FAILED if n == 100 else of.SUCCEEDED, n + 1, at) for n, at in enumerate(times)]
    assert run(of, state, rows) == 131
    assert state.fired == of.FAILURE_RATE
    assert (state.window.calls, state.window.failures) == (32, 1)


UNLIKE = {
    "stale": {"epoch": 0},
    "several": {"count": 7},
    "slow": {"took": SLOW_NS + 1},
    "failed": {"kind": kernel.FAILED},
    "ignored": {"kind": kernel.IGNORED},
    "rejected": {"kind": kernel.REJECTED},
    "of the next second": {"at": SECOND},
}


WINDOWS = [{"size": 5}, {"size": 50}, {"size": 90}, {"size": 1, "is_timed": True}, None]


@of_each_kernel
@pytest.mark.parametrize("unlike", UNLIKE)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("place", [3, 30, 31, 32])
def test_one_row_unlike_many_successes_counts_as_by_itself(of, unlike, window, place):
    rows = [Row(of.SUCCEEDED, seq, 0, 0, 1) for seq in range(1, 81)]
    rows[0] = Row(of.FAILED, 1, 0, 0, 1)
    rows[place] = evolve(rows[place], **UNLIKE[unlike])
    rows = rows[: place + 1] + [evolve(row, at=rows[place].at) for row in rows[place + 1 :]]
    states = []
    for way in ("run", "step"):
        numbers = window and {"needed": 2, "failure_num": 1, "failure_den": 1, **window}
        state = breaker(of, 100, numbers and thresholds(of, **numbers))
        state.epoch = 1
        if way == "run":
            assert run(of, state, rows) == len(rows)
        else:
            for row in rows:
                assert of.step(state, *astuple(row)) == of.NO_RULE
        counters = state.succeeded, state.failed, state.ignored, state.rejected, state.stale
        states.append((counters, state.consecutive_failures, window and told(state.window)))
    assert states[0] == states[1]


@of_each_kernel
def test_successes_after_ignored_calls_end_a_run_of_failures(of):
    kinds = [of.FAILED] * 2 + [of.IGNORED] * 40 + [of.SUCCEEDED] * 40 + [of.FAILED]
    state = breaker(of, 3)
    rows = [Row(kind, seq, 0) for seq, kind in enumerate(kinds, start=1)]
    assert run(of, state, rows) == len(rows)
    assert (state.consecutive_failures, state.failure_seqs.to_list()) == (1, [83])


@of_each_kernel
def test_a_row_that_can_not_have_happened_stops_the_run(of):
    state = breaker(of)
    rows = [Row(of.SUCCEEDED, 1, 0), Row(of.SUCCEEDED, 2, 0, epoch=1), Row(of.SUCCEEDED, 3, 0)]
    assert run(of, state, rows) == 1
    assert state.fired == of.FUTURE_EPOCH
    assert run(of, state, rows, start=2) == 3
    assert (state.fired, state.succeeded) == (of.NO_RULE, 2)


@of_each_kernel
@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("count", [0, -1, -(2**40)])
def test_an_event_of_no_calls_puts_nothing_into_a_window(of, size, count):
    """No log has one, but rows of another's file may: nothing may be written past a window's end."""
    state = breaker(of, window=thresholds(of, size, failures=2 * size))
    for seq in range(1, 100):
        of.step(state, of.SUCCEEDED, seq, seq, 0, 0, 0, 1)
        of.step(state, of.SUCCEEDED, seq, seq, 0, 0, 0, count)
    assert (state.window.calls, state.window.length) == (size, size)


LONG_RUNS = {
    "failures in a row": {"failure_threshold": 7},
    "a window of outcomes": {"window": {"size": 40, "needed": 40, "failure_num": 3}},
    "a window that is not full": {"window": {"size": 5000, "needed": 60, "failure_num": 3}},
    "a window of few outcomes": {"window": {"size": 3, "needed": 2, "failures": 3}},
    "slow calls": {"window": {"size": 40, "needed": 10, "slow_num": 3}},
    "seconds": {"window": {"size": 2, "is_timed": True, "needed": 20, "failure_num": 3}},
    "slow calls of some seconds": {
        "window": {"size": 2, "is_timed": True, "needed": 20, "slow_num": 3}
    },
    "both": {"failure_threshold": 9, "window": {"size": 40, "needed": 40, "failure_num": 3}},
}


@of_each_kernel
@pytest.mark.parametrize("name", LONG_RUNS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.6])
def test_many_rows_at_once_count_as_one_by_one(of, name, share):
    """However long the stretches are in which nothing fires, and wherever they end."""
    config = dict(LONG_RUNS[name])
    slow_ns = SLOW_NS if "slow" in name else of.NEVER
    chance = Random(len(name))
    if limits := config.get("window"):
        rates = {"failure_den": 4 if "failure_num" in limits else 0}
        rates["slow_den"] = 4 if "slow_num" in limits else 0
        config["window"] = thresholds(of, **rates, **limits)
    rows, at = [], 0
    for seq in range(1, 6001):
        at += chance.randrange(4_000_000)
        kind = of.FAILED if chance.random() < share else of.SUCCEEDED
        kind = of.IGNORED if chance.random() < 0.001 else kind
        took = SLOW_NS * 2 if chance.random() < share else 0
        count = 3 if kind == of.SUCCEEDED and chance.random() < 0.001 else 1
        rows.append(Row(kind, seq, at, took, count=count))
    whole = of.Rows(*columns(rows))
    fired = {}
    for way in ("run", "step"):
        state = breaker(of, **config, slow_ns=slow_ns)
        fired[way] = []
        row = 0
        while row < len(rows):
            if way == "run":
                row = of.run(state, whole, row, len(rows))
                rule = state.fired
            else:
                rule = of.step(state, *astuple(rows[row]))
            if rule:
                run_seqs = state.failure_seqs and state.failure_seqs.to_list()
                window = state.window and told(state.window)
                counters = state.succeeded, state.failed, state.ignored, state.consecutive_failures
                fired[way].append((row, rule, counters, run_seqs, window))
                assert of.enter(state, rows[row].at, -1) == of.NO_RULE
                state.epoch = 0  # that of all rows
            row += way == "step" or bool(rule)
        fired[way].append((state.succeeded, state.failed, state.window and told(state.window)))
    assert fired["run"] == fired["step"]


@of_each_kernel
def test_rows_of_other_kinds_are_passed_over(of):
    state = breaker(of, 2)
    kinds = [of.FAILED, of.ADMITTED + 1, of.FAILED, of.ADMITTED + 1]
    rows = [Row(kind, seq, 0) for seq, kind in enumerate(kinds, start=1)]
    assert run(of, state, rows) == 2
    assert (state.fired, state.failure_seqs.to_list()) == (of.CONSECUTIVE_FAILURES, [1, 3])
    assert run(of, state, rows, start=3) == 4
    assert state.fired == of.NO_RULE
