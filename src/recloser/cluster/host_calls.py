"""The calls of one breaker in the logs of several hosts, in the order of their corrected times."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from recloser.cluster.dataset import ROWS_AT_ONCE
from recloser.cluster.host_clocks import HostClock
from recloser.core.checkpoint_parts import is_part
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    Event,
    LogOpened,
    Outcome,
)
from recloser.errors import ConfigError
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.columnar.row_groups import chunks_of
from recloser.history.live_driver import by_start
from recloser.log.arrow_table import events_of
from recloser.log.parquet import ParquetLog
from recloser.simulate.expansion_limit import ExpansionLimit


@frozen
class LogOfBreaker:
    """The place of a breaker's rows in the log of one host.

    Attributes:
        url: Path or URL of the log.
        host: Label of the host.
        groups: The row groups in which the breaker begins.
    """

    url: str
    host: str
    groups: range


@define
class HostCalls:
    """The calls of one breaker in one host's log.

    Attributes:
        clock: The clock of the host.
        calls: Number of outcomes yielded by the last ``observed``.
        rejected: Number of calls rejected by the host's own breaker, found by the last ``observed``.
    """

    _log: ParquetLog
    _breaker: str
    _holder: LogOfBreaker
    _uncertainty_ns: int
    clock: HostClock = field(init=False)
    calls: int = 0
    rejected: int = 0

    def __attrs_post_init__(self) -> None:
        readings = [
            event
            for event in whole_log_events(self._log)
            if isinstance(event, LogOpened | ClockTicked)
        ]
        self.clock = HostClock(readings, self._uncertainty_ns)

    @property
    def host(self) -> str:
        """The label of the host."""
        return self._holder.host

    def events(self) -> Iterator[Event]:
        """Yield the events of the breaker, in the order of the log."""
        for part in chunks_of(self._log, groups=self._holder.groups, at_once=ROWS_AT_ONCE):
            if part.breaker == self._breaker:
                yield from events_of(part.table)

    def settings(self) -> CircuitBreakerConfig | None:
        """Return the last settings in the log; None for imported calls."""
        settings: object = None
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                settings = event.config
            elif isinstance(event, Checkpoint) and not is_part(event):
                settings = event.state.get("config")
        if not isinstance(settings, Mapping):
            return None
        return CircuitBreakerConfig.from_mapping(settings)

    def observed(self, number: int, hosts: int) -> Iterator[CallObserved]:
        """Yield the outcomes in common time; this is log ``number`` of ``hosts``."""
        self.calls = self.rejected = 0
        mode: object = "enforce"
        limit = ExpansionLimit()
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                mode = event.config.get("mode")
            elif event.kind == "mode_changed":
                mode = event.mode
            elif event.kind == "call_rejected" and mode != "shadow":
                # In shadow mode the call was made and has an outcome.
                self.rejected += event.count
            else:
                outcomes = _outcome_count(event)
                limit.add(event.seq, outcomes)
                for _ in range(outcomes):
                    self.calls += 1
                    # A ``seq`` that no other host uses, in the order of the log.
                    yield self._call(self.calls * hosts + number, event)

    def _call(self, seq: int, event: Event) -> CallObserved:
        assert isinstance(event, CallObserved | CallSucceeded | CallFailed | CallIgnored)
        end = max(0, self.clock.unix_ns(event.at))
        start = max(0, end - event.took)
        if isinstance(event, CallObserved):
            outcome = event.outcome
        else:
            outcome = Outcome(event.kind.removeprefix("call_"))
        error = None if event.kind == "call_succeeded" else event.error
        labels = {"host": self.host}
        return CallObserved(seq, end, self._breaker, start, end - start, outcome, error, labels)


def _outcome_count(event: Event) -> int:
    if event.kind == "call_succeeded":
        return event.count
    return int(isinstance(event, CallObserved | CallFailed | CallIgnored))


def merged_calls(logs: Sequence[HostCalls]) -> Iterator[CallObserved]:
    """Yield the calls of all hosts, in the order of their starts."""
    return heapq.merge(
        *(by_start(log.observed(number, len(logs))) for number, log in enumerate(logs)),
        key=lambda call: (call.start, call.seq),
    )


def common_settings(breaker: str, logs: Iterable[HostCalls]) -> CircuitBreakerConfig:
    """Return the settings that all logs have of a breaker, or the defaults if none has any.

    Raises:
        ConfigError: The hosts have different settings.
    """
    by_host = {log.host: log.settings() for log in logs}
    different = {repr(config) for config in by_host.values()}
    if len(different) > 1:
        raise ConfigError(
            f"the hosts {', '.join(by_host)} have different settings of {breaker!r}; "
            "give those of the shared breaker with --config or --set"
        )
    return next(iter(by_host.values())) or CircuitBreakerConfig()
