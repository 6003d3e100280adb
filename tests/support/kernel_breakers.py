"""Breakers of a kernel without a fold, for tests of single rules."""

import pytest
from kernel_driver import columns, kernels

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


def contents_of(window):
    return window.to_data(), window.calls, window.failures, window.slow


def expanded(data):
    pairs = [[entry, 1] if isinstance(entry, int) else entry for entry in data]
    return [code for code, count in pairs for _ in range(count)]
