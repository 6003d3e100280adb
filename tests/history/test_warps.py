"""Warps are read from text, can be combined, and change only what they name."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from breaker_calls import fail, succeed

from conftest import ROOT
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    MemoryLog,
    TimeWindow,
    replay,
)
from recloser.core.events import BreakerConfigured, CallFailed, Checkpoint, ClockTicked, LogOpened
from recloser.core.kernel import NEVER
from recloser.core.limits import MAX_WHOLE
from recloser.core.state import probes_of, restore
from recloser.history.live_driver import LiveDriver
from recloser.history.warping import WarpedClock, warped
from recloser.history.warps import FORMS, parse_warp, parse_warps
from recloser.live.own_events import checkpoints_of
from recloser.log.reader import LogReader

SECOND = 10**9
START = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def log(clock):
    """Ten seconds with a call and a tick in each; the first five calls fail."""
    log = MemoryLog(clock=clock)
    config = CircuitBreakerConfig(recovery_timeout_seconds=3, half_open_success_threshold=1)
    breaker = CircuitBreaker("b", config, log=log)
    for second in range(12):
        permit = breaker.before_call().permit
        clock.advance(ns=1000)
        if permit is not None and second < 5:
            breaker.after_failure(permit, "OSError")
        elif permit is not None:
            breaker.after_success(permit)
        clock.advance(ns=SECOND - 1000)
    return log


def readings(events, *texts):
    """The readings in a log: (at in seconds, seconds that the wall clock is ahead)."""
    return [
        (event.at // SECOND, (event.wall - START - timedelta(microseconds=event.at // 1000)) / timedelta(seconds=1))
        for event in warped(events, parse_warps(texts))
        if isinstance(event, LogOpened | ClockTicked)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("wall-shift=+1h", lambda at: 3600),
        ("wall-shift=-0.5s", lambda at: -0.5),
        ("wall-shift=-1y", lambda at: -365 * 86400),
        ("wall-drift=+10%", lambda at: at / 10),
        ("wall-drift=-500ppm", lambda at: -at * 500 / 10**6),
        ("wall-step=-5s@4s", lambda at: -5 if at >= 4 else 0),
        ("wall-step=+2h@2000-01-01T00:00:03Z", lambda at: 7200 if at >= 3 else 0),
        ("wall-freeze", lambda at: -at),
        ("leap-smear", lambda at: -at / 86400),
        ("mono-origin=+1h", lambda at: 0),
    ],
)
def test_wall_warp_changes_the_wall_clock_only(log, text, ahead):
    for at, seconds in readings(log, text):
        assert seconds == pytest.approx(ahead(at), abs=2e-6)
    events = list(log)
    for right, wrong in zip(events, warped(events, parse_warps([text])), strict=True):
        if not isinstance(right, LogOpened | ClockTicked):
            assert wrong is right
        assert (wrong.seq, wrong.at) == (right.seq, right.at)


def test_step_at_each_tick_alternates(log):
    steps = [seconds for _, seconds in readings(log, "wall-step=-1h@tick")]
    assert len(steps) > 8
    assert {earlier - later for earlier, later in pairwise(steps)} == {3600, -3600}


def test_warps_are_applied_in_order(log):
    assert readings(log, "wall-shift=+1h,wall-freeze") != readings(log, "wall-freeze", "leap-smear")
    frozen_later = readings(log, "wall-freeze", "wall-shift=+1h")
    assert frozen_later == readings(log, "wall-shift=+1h", "wall-freeze")
    assert [seconds for _, seconds in frozen_later] == [3600 - at for at, _ in frozen_later]


def test_wall_warps_move_no_edge_and_no_witness(log):
    plain = replay(list(log))
    for text in ("wall-shift=+100y", "wall-drift=-10%", "wall-step=-1h@tick", "mono-origin=+104d"):
        history = replay(list(log), warps=parse_warps([text]))
        assert history.differences == []
        assert history.witnesses == plain.witnesses > 0
        assert history.edges == plain.edges


def test_monotonic_drift_moves_edges_and_removes_witnesses(log):
    plain = replay(list(log))
    history = replay(list(log), warps=parse_warps(["mono-drift=-100ppm"]))
    assert (history.witnesses, history.differences) == (0, [])
    assert [edge.at for edge in history.edges] == [
        edge.at - -(-edge.at // 10_000) for edge in plain.edges
    ]
    assert history.digest != plain.digest


def test_probe_under_a_slow_clock_comes_before_the_cooldown_ends(log):
    history = replay(list(log), warps=parse_warps(["mono-drift=-50%"]))
    (difference,) = history.differences
    assert "(probe_admitted): epoch 2 admits no probes; it is 1, OPEN" in difference.got


def test_durations_drift_with_the_clock(log):
    for right, wrong in zip(log, warped(log, parse_warps(["mono-drift=+50%"])), strict=True):
        if hasattr(right, "took"):
            assert (right.took, wrong.took) == (1000, 1500)


def test_jitter_is_bounded_reproducible_and_never_runs_backwards(log):
    moved = [event.at for event in warped(log, parse_warps(["mono-jitter=5ms:7"]))]
    assert moved == sorted(moved)
    assert moved == [event.at for event in warped(log, parse_warps(["mono-jitter=5ms:7"]))]
    assert moved != [event.at for event in warped(log, parse_warps(["mono-jitter=5ms:8"]))]
    errors = [at - event.at for at, event in zip(moved, log, strict=True)]
    assert max(map(abs, errors)) <= 5 * 10**6
    assert min(errors) < 0 < max(errors)
    right = [event.at for event in log]
    assert [event.at for event in warped(log, parse_warps(["mono-jitter=0ns"]))] == right


def test_host_offset_applies_to_the_sessions_of_its_host_only():
    events = list(LogReader(ROOT / "fixtures" / "process-killed"))
    first, second = [event for event in events if isinstance(event, LogOpened)]
    assert first.host == second.host
    ahead = list(warped(events, parse_warps([f"host-offset={first.host}:+80ms"])))
    assert {b.at - a.at for a, b in zip(events, ahead, strict=True)} == {80 * 10**6}
    same = list(warped(events, parse_warps(["host-offset=another:+80ms"])))
    assert {b.at - a.at for a, b in zip(events, same, strict=True)} == {0}


def test_checkpoint_of_a_known_state_is_left_out(tmp_path, clock):
    for times in (3, 2):
        with EventLog(tmp_path / "log", clock=clock) as log:
            fail(CircuitBreaker("b", log=log), times)
            clock.advance(seconds=5)
    events = list(LogReader(tmp_path / "log"))
    assert any(isinstance(event, Checkpoint) for event in events)
    drifted = list(warped(events, parse_warps(["mono-drift=+100ppm"])))
    assert not any(isinstance(event, Checkpoint) for event in drifted)
    assert [event.seq for event in drifted] == [event.seq for event in events]
    (trip,) = replay(events, warps=parse_warps(["mono-drift=+100ppm"])).edges
    assert trip.at == 5 * SECOND + 5 * SECOND // 10_000


def test_duration_under_a_fast_clock_stays_within_the_limit():
    opened = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "h", 1, "0")
    config = CircuitBreakerConfig(slow_call_seconds=1)
    events = [
        opened,
        BreakerConfigured(2, 0, "b", config.to_mapping()),
        CallFailed(3, 1, "b", 0, MAX_WHOLE),
    ]
    fast = parse_warps(["mono-drift=+100ppm"])
    assert [event.took for event in warped(events, fast) if event.seq == 3] == [MAX_WHOLE]
    assert replay(events, warps=fast).snapshots["b"].totals.failed == 1


@pytest.mark.parametrize("state", ["OPEN", "HALF_OPEN", "CLOSED"])
def test_first_checkpoint_of_a_log_has_its_times_moved(clock, state):
    """With a log origin, everything after the moved checkpoint is the same but later."""
    log = MemoryLog(clock=clock)
    config = CircuitBreakerConfig(
        failure_threshold=3,
        window=TimeWindow(10, failures=4),
        recovery_timeout_seconds=5,
        half_open_timeout_seconds=40,
        probe_timeout_seconds=20,
    )
    breaker = CircuitBreaker("b", config, log=log)
    clock.advance(seconds=7)
    if state != "CLOSED":
        fail(breaker, 3)
    else:
        fail(breaker)
        succeed(breaker)
        clock.advance(seconds=2)
        fail(breaker)
    if state == "HALF_OPEN":
        clock.advance(seconds=6)
        breaker.before_call()
    assert breaker.current_state().value == state
    breaker.snapshot()
    checkpoint = next(checkpoints_of(log.attach().fold, "b"))
    cut = [LogOpened(1, checkpoint.at, 1, 1, 1, START, 0, "", "", 1, "0"),
           Checkpoint(2, checkpoint.at, "b", checkpoint.state)]  # fmt: skip
    ns = 1000 * SECOND
    _, moved = warped(cut, parse_warps(["log-origin=+1000s"]))
    before, after = restore(checkpoint), restore(moved)
    assert moved.at == checkpoint.at + ns
    for name in ("opened_at", "half_open_at", "deadline"):
        right, wrong = getattr(before, name), getattr(after, name)
        assert wrong == (right if right in (-1, NEVER) else right + ns)
    assert probes_of(after) == {number: at + ns for number, at in probes_of(before).items()}
    if state == "CLOSED":
        assert [b[0] for b in after.window.to_data()] == [
            b[0] + 1000 for b in before.window.to_data()
        ]
        assert after.window.failures == before.window.failures == 2


def test_drift_can_merge_two_seconds_of_a_window(clock):
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(window=TimeWindow(20, failures=9)), log=log)
    for _ in range(8):
        fail(breaker)
        succeed(breaker)
        clock.advance(seconds=1)
    breaker.snapshot()
    checkpoint = next(checkpoints_of(log.attach().fold, "b"))
    events = [next(iter(log)), Checkpoint(2, checkpoint.at, "b", checkpoint.state)]
    _, moved = warped(events, parse_warps(["mono-drift=-50%"]))
    window = restore(moved).window
    assert [bucket[0] for bucket in window.to_data()] == [0, 1, 2, 3]
    assert (window.calls, window.failures) == (16, 8)


def test_driven_breaker_uses_the_wrong_clock(clock):
    opened = LogOpened(1, 0, 1, 1, 1, START, 0, "", "", 1, "0")
    log = MemoryLog(tick_seconds=None)
    LiveDriver(
        opened, CircuitBreakerConfig(), log, parse_warps(["wall-shift=+1h", "mono-origin=+7ns"])
    )
    (written,) = log
    assert (written.wall, written.monotonic) == (START + timedelta(hours=1), 7)
    wrong = WarpedClock(clock, parse_warps(["wall-drift=+10%", "mono-origin=+2s"]))
    clock.advance(seconds=100)
    assert wrong.now() == START + timedelta(seconds=110)
    assert wrong.monotonic_ns() == 102 * SECOND
    assert wrong.boot_id == clock.boot_id


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_warp(form):
    assert parse_warp(form)


@pytest.mark.parametrize(
    "text",
    [
        "wall-shift",
        "wall-shift=1",
        "wall-shift=+1parsec",
        "wall-shift=+1e400s",
        "wall-shift=nans",
        "wall-drift=+5",
        "wall-step=-5s",
        "wall-step=-5s@noon",
        "wall-step=-5s@2000-13-01",
        "wall-freeze=1s",
        "leap-smear=1s",
        "mono-origin=far",
        "mono-drift=-100%",
        "mono-jitter=-1ms",
        "mono-jitter=1ms:x",
        "host-offset=80ms",
        "host-offset=:80ms",
        "log-origin=-1s",
    ],
)
def test_invalid_warp_is_refused_with_the_right_form(text):
    with pytest.raises(ConfigError) as error:
        parse_warp(text)
    message = str(error.value)
    assert message.startswith(
        f"the warp {text!r} can't be read; write it as {text.partition('=')[0]}"
    )
    assert "\n" not in message


def test_unknown_warp_is_refused_with_a_list_of_warps():
    with pytest.raises(ConfigError, match=r"no warp 'wall-shft=\+1h'; the warps are wall-shift="):
        parse_warp("wall-shft=+1h")
