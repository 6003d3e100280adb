"""How a new breaker gets its place on a log, its settings and its fast path."""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from recloser.clock import Clock
from recloser.core.config import CircuitBreakerConfig
from recloser.core.state import BreakerState
from recloser.live.fast_path import NO_FAST_PATH, FastPath
from recloser.live.listeners import Subscription
from recloser.live.live_log import Log
from recloser.live.memory_log import NoLog
from recloser.live.reporting import Configure
from recloser.live.resting import RestingGroup, can_rest, group_of
from recloser.live.sequencer import Sequencer
from recloser.live.settings_in_force import UNSHARED, OnOtherConfig, caller_location, warn

_DEFAULT: Final = CircuitBreakerConfig()


class BreakerParts(NamedTuple):
    """The parts of a new breaker.

    Attributes:
        order: What orders and records its events, or the group with which it rests.
        state: Its state.
        config: The settings in force.
        fast_path: Its fast path.
    """

    order: Sequencer | RestingGroup
    state: BreakerState
    config: CircuitBreakerConfig
    fast_path: FastPath


def set_up(
    name: str,
    requested: CircuitBreakerConfig | None,
    log: Log | None,
    clock: Clock | None,
    *,
    listeners: Sequence[Subscription],
    on_other_config: OnOtherConfig,
    needs_classifiers: bool,
) -> BreakerParts:
    """Set up a breaker from checked arguments.

    Args:
        name: The breaker's name.
        requested: Its settings; None to follow those in force.
        log: Its log; None if nothing is recorded.
        clock: The clock that times it; None for the log's.
        listeners: Its listeners.
        on_other_config: What happens to settings that differ from those in force.
        needs_classifiers: Whether dotted names in the settings must be resolved.

    Raises:
        ConfigError: A dotted name can't be imported, the settings differ from those in force and this
            is to be an error, or the log is timed by another clock.
    """
    if requested is not None and needs_classifiers:
        _ = requested.resolved_mapping  # imports modules, which must not happen under the lock
    wanted = requested or _DEFAULT
    state = BreakerState(name, wanted)
    if log is None and not listeners and can_rest(wanted):
        group = group_of(clock)
        if group is not None:
            return BreakerParts(group, state, wanted, group.fast_path(state))
    made_at = ("", 0) if log is None else caller_location()
    sequencer = (NoLog() if log is None else log).attach(clock)
    for subscription in listeners:
        add = partial(sequencer.notifier.add, name, subscription)
        sequencer.hold(add, add)
    configure = Configure(
        sequencer,
        name,
        in_force=UNSHARED if log is None else log.settings_in_force,
        requested=requested,
        made_at=made_at,
        on_other_config=on_other_config,
    )
    state = sequencer.configured(configure, state)
    decision = configure.decision
    # A thread that is in the middle of a change of the log learns only later which settings are in
    # force, and has no decision here.
    config = wanted if decision is None else decision.config
    if decision is not None and decision.warning is not None:
        warn(decision.warning, made_at)
    # Whether a result is a failure is decided by a predicate, which the fast path cannot ask.
    has_predicate = config.failure_result is not None
    fast_path = NO_FAST_PATH if has_predicate else sequencer.fast_path_of(name)
    return BreakerParts(sequencer, state, config, fast_path)
