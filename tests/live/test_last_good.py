"""The last whole states can be looked at while another thread goes on."""

from breaker_calls import fail

from recloser import Breakers, MemoryLog
from recloser.core.state import BreakerState
from recloser.live import last_good


def test_events_of_other_threads_during_a_rebuild_are_left_out(clock, monkeypatch):
    breakers = Breakers(log=MemoryLog(clock=clock))
    ours, others = breakers["ours"], breakers["others"]
    sequencer = ours._sequencer
    sequencer.last_good = sequencer.fold.keeper = good = last_good.LastGood(sequencer.fold)
    fail(ours)
    ours.snapshot()
    copy = BreakerState.copy

    def copied_while_another_fails(state):
        monkeypatch.undo()
        fail(others)
        others.snapshot()
        return copy(state)

    monkeypatch.setattr(BreakerState, "copy", copied_while_another_fails)
    rebuilt = good.rebuilt()
    assert sequencer.last_good is good
    assert good.events[-1].breakers == ["others"]
    assert {name: state.failed for name, state in rebuilt.breakers.items()} == {"ours": 1}
