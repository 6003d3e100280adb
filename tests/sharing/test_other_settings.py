"""The message about settings that differ from those in the stream."""

from recloser import CircuitBreakerConfig
from recloser.core.events import BreakerConfigured
from recloser.core.state import BreakerState
from recloser.sharing.other_settings import other_settings

KNOWN = BreakerState("b", CircuitBreakerConfig(failure_threshold=3))


def configured(**settings):
    return BreakerConfigured(0, 0, "b", CircuitBreakerConfig(**settings).to_mapping())


def test_equal_settings_are_not_reported():
    assert other_settings(KNOWN, configured(failure_threshold=3)) is None


def test_differing_settings_are_named_with_the_remedy():
    event = configured(failure_threshold=9, half_open_max_probes=2)
    message = other_settings(KNOWN, event)
    assert "'b' has other settings in the stream than here: " in message
    assert "failure_threshold, half_open_max_probes;" in message
    assert "on_other_config='replace'" in message
