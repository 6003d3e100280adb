"""Settings given to a breaker here that differ from those in the stream."""

from typing import Literal, TypeAlias

from recloser.core.events import BreakerConfigured
from recloser.core.state import BreakerState

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]
"""What happens then: use the stream's settings, replace them, or raise a ConfigError."""


def other_settings(known: BreakerState, event: BreakerConfigured) -> str | None:
    """Describe the difference to the settings in the stream; None if equal.

    Args:
        known: The breaker's state in the stream.
        event: The settings given here.
    """
    settings = known.config.to_mapping()
    if settings == event.config:
        return None
    differing = sorted(name for name in settings if settings[name] != event.config.get(name))
    return (
        f"breaker {event.breaker!r} has other settings in the stream than here: "
        f"{', '.join(differing)}; those of the stream are used. on_other_config='replace' replaces "
        "them with these"
    )
