"""State objects of breakers: the same object, whichever fold the member uses."""

import pytest

from recloser import CircuitBreakerConfig
from recloser.core.events import FORMAT_VERSION, RULES_VERSION, BreakerConfigured, CallFailed
from recloser.sharing.live_states import LiveStates
from recloser.sharing.stream_entry import Begin, Entry, event_lines
from recloser.sharing.stream_fold import StreamFold

BEGIN = Begin("g", FORMAT_VERSION, RULES_VERSION, "0")
SETTINGS = BreakerConfigured(0, 0, "b", CircuitBreakerConfig().to_mapping())


@pytest.fixture
def fold():
    stream_fold, _ = StreamFold.from_begin(Entry((1, 0), "a", 0, BEGIN))
    stream_fold.fold_entry(Entry((2, 0), "a", 1, event_lines([SETTINGS])))
    return stream_fold.fold


def test_breaker_keeps_its_state_object_when_another_fold_is_adopted(fold):
    states = LiveStates()
    states.adopt(fold)
    live = states.of("b")
    copy = states.private_copy(fold)
    copy.apply(CallFailed(copy.seq + 1, copy.at, "b", 0, 5))
    states.adopt(copy)
    assert states.of("b") is live is copy.breakers["b"]
    assert live.failed == 1
    assert fold.breakers["b"].failed == 0


def test_breakers_that_a_fold_lacks_are_missing_from_it(fold):
    states = LiveStates()
    states.adopt(fold)
    assert list(states.missing_from(fold)) == []
    del fold.breakers["b"]
    assert list(states.missing_from(fold)) == [SETTINGS]
