"""Scripts of events of a breaker, and checks that kernels show after each event what an oracle does.

The steps of a script depend on the state of the oracle: for example, an outcome of the current epoch
or of an earlier one, of a probe that is in flight or of one that is not. The oracle is a subclass of
``Script``, which turns the steps into rows for kernels.
"""

from attrs import define, field, frozen
from drawn_settings import MS, SECOND, SLOW_NS, count_windows, jitters, time_windows
from hypothesis import strategies as st
from kernel_driver import COMMANDS, Driven, Row, kernels

from recloser import CircuitBreakerConfig, Constant, CountWindow, Exponential, TimeWindow
from recloser.core import kernel

NAME = "b"
KINDS = {"succeeded": kernel.SUCCEEDED, "failed": kernel.FAILED, "ignored": kernel.IGNORED}


@frozen
class Rare:
    """A rare event, which is not a row: a method of ``Driven`` and its first arguments."""

    method: str
    arguments: tuple
    seq: int
    at: int


@define
class Script:
    """Base of oracles, with the items so far and the state after each item, or ``refused``."""

    config: object
    seq: int = 1
    at: int = 0
    edges: list = field(factory=list)
    results: list = field(factory=list)

    # A subclass has ``is_closed``, ``is_half_open``, ``is_disabled``, ``epoch``, ``deadline``,
    # ``probes``, ``probes_admitted``, ``apply_row``, ``apply_rare`` and ``seen``.

    def row(self, kind, took=0, epoch=0, probe=0, count=1):
        self.seq += 1
        item = Row(kind, self.seq, self.at, took, epoch, probe, count)
        is_accepted = self.apply_row(item)
        self.results.append((item, self.seen() if is_accepted else "refused"))

    def rare(self, method, *arguments):
        self.seq += 1
        item = Rare(method, arguments, self.seq, self.at)
        self.apply_rare(item)
        self.results.append((item, self.seen()))

    def tick(self):
        """Let time pass without an event of the breaker."""
        self.rare("pass_time")

    # -- steps --

    def wait(self, ns):
        self.at += ns

    def wait_for_deadline(self, late_ns):
        if self.deadline is not None:
            self.at = max(self.at, self.deadline + late_ns)

    def outcomes(self, kinds, times, step_ns, took, count, epochs_ago, which):
        for number in range(times):
            self.at += step_ns
            self.outcome(kinds[number % len(kinds)], took, count, epochs_ago, which)

    def outcome(self, kind, took, count, epochs_ago, which):
        if epochs_ago < 0:
            self.tick()  # fires the edges that are due, so that the later epoch has not begun
        epoch = self.epoch - epochs_ago
        if epoch < 0:
            return
        probes = [*self.probes, 0, self.probes_admitted + 1]
        probe = probes[which % len(probes)] if self.is_half_open else 0
        self.row(KINDS[kind], took, epoch, probe, count if kind == "succeeded" else 1)

    def trip_and_cool(self, took, probes):
        """Trip the breaker and wait until it probes; random steps alone seldom get there."""
        for _ in range(30):
            if self.is_closed:
                self.outcome("failed", took, 1, 0, 0)
        self.wait_for_deadline(0)
        self.tick()
        self.ask(probes, 0)

    def ask(self, times, wrong):
        if not self.is_half_open:
            times = abs(wrong)
        for _ in range(times):
            self.tick()
            if not self.is_disabled:
                self.row(kernel.ADMITTED, 0, self.epoch, self.probes_admitted + 1 + wrong)

    def reject(self, count):
        self.row(kernel.REJECTED, count=count)

    def operate(self, method, argument):
        self.rare(method, argument)

    def restart(self):
        self.rare("begin_session")


# Settings and scripts.

_larger = {"failures": st.sampled_from([None, 9]), "failure_rate": st.sampled_from([0.2, 0.6, 1])}
_large_windows = st.one_of(
    st.builds(
        CountWindow,
        size=st.sampled_from([20, 40, 100]),
        minimum_calls=st.sampled_from([1, 20, 30]),
        slow_call_rate=st.sampled_from([None, 0.3]),
        **_larger,
    ),
    st.builds(
        TimeWindow,
        seconds=st.sampled_from([1, 3, 10]),
        minimum_calls=st.sampled_from([1, 20, 60]),
        slow_call_rate=st.sampled_from([None, 0.3]),
        **_larger,
    ),
)
configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.sampled_from([None, None, 1, 3, 20]),
    window=st.one_of(st.none(), count_windows, time_windows, _large_windows, _large_windows),
    slow_call_seconds=st.just(SLOW_NS / SECOND),
    recovery_timeout_seconds=st.sampled_from([0, 0, 0.5, 2]),
    backoff=st.one_of(
        st.builds(Constant, jitters),
        st.builds(Exponential, st.sampled_from([2, 1.5]), st.sampled_from([1, 8]), jitters),
    ),
    half_open_success_threshold=st.sampled_from([0, 1, 2, 3, 9]),
    half_open_max_probes=st.sampled_from([1, 2, 3, 40]),
    half_open_window=st.one_of(
        st.none(), count_windows, st.builds(CountWindow, st.just(30), st.just(0.5), st.just(20))
    ),
    half_open_timeout_seconds=st.sampled_from([None, 3]),
    probe_timeout_seconds=st.sampled_from([1, 3, 10]),
    mode=st.sampled_from([*["enforce"] * 8, "disabled"]),
)
_kinds = st.sampled_from(["succeeded", "succeeded", "succeeded", "failed", "failed", "ignored"])
_steps = st.sampled_from([0, 0, 1, MS, 100 * MS, SECOND - 1, SECOND, 3 * SECOND])


def scripts_of(counts):
    """Draw scripts whose successes have a count out of ``counts``."""
    outcomes = st.tuples(
        st.just("outcomes"),
        st.one_of(
            st.just(["succeeded"]), st.just(["ignored"]), st.lists(_kinds, min_size=1, max_size=6)
        ),
        st.sampled_from([1, 1, 2, 5, 20, 40, 130]),
        _steps,
        st.sampled_from([0, 0, 0, SLOW_NS, SLOW_NS + 1]),
        st.sampled_from(counts),
        st.sampled_from([0] * 9 + [1, 2, -1]),
        st.integers(0, 40),
    )
    steps = st.one_of(
        outcomes,
        outcomes,
        outcomes,
        st.tuples(
            st.just("trip_and_cool"),
            st.sampled_from([0, SLOW_NS + 1]),
            st.sampled_from([1, 2, 9, 40]),
        ),
        st.tuples(st.just("wait"), _steps),
        st.tuples(st.just("wait_for_deadline"), st.sampled_from([-1, 0, 0, 1, 10 * SECOND])),
        st.tuples(
            st.just("ask"), st.sampled_from([1, 2, 5, 40]), st.sampled_from([0] * 9 + [-1, 1])
        ),
        st.tuples(st.just("reject"), st.sampled_from([1, 3, 2**31 - 1])),
        st.tuples(st.just("operate"), st.just("command"), st.sampled_from(sorted(COMMANDS))),
        st.tuples(st.just("operate"), st.just("configure"), configs),
        st.tuples(
            st.just("operate"),
            st.just("set_mode"),
            st.sampled_from(["enforce", "enforce", "disabled"]),
        ),
        st.tuples(st.just("restart")),
    )
    return st.lists(steps, min_size=1, max_size=40)


# Kernels on scripts.


def check_one_by_one(oracle, config, script):
    """Check that each kernel has the state of the oracle after each item."""
    results = run_script(oracle(config), script)
    for of in kernels():
        driven = Driven(of, NAME, config)
        for item, seen in results:
            if isinstance(item, Rare):
                apply_rare(driven, item)
            elif driven.apply(item):
                assert seen == "refused"
                continue
            assert driven.seen() == seen


def check_many_at_once(oracle, config, script):
    """Check that each kernel has the state of the oracle after each run of rows."""
    results = run_script(oracle(config), script)
    for of in kernels():
        driven = Driven(of, NAME, config)
        batch, expected = [], driven.seen()
        for item, seen in [*results, (None, None)]:
            if isinstance(item, Row):
                batch.append(item)
            elif batch:
                driven.run(batch)
                batch = []
                assert driven.seen() == expected
            if isinstance(item, Rare):
                apply_rare(driven, item)
            if isinstance(seen, dict):
                expected = seen


def run_script(script, steps):
    for method, *arguments in steps:
        getattr(script, method)(*arguments)
    return script.results


def apply_rare(driven, item):
    getattr(driven, item.method)(*item.arguments, item.seq, item.at)
