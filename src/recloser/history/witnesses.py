"""Compares witnesses, which are edges recorded live, with the computed edges."""

from collections import deque
from collections.abc import Sequence

from attrs import evolve

from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import Checkpoint, Edge, Event, StateChanged
from recloser.core.gaps import GapWatch
from recloser.core.log_fold import LogFold
from recloser.core.state import bounded_evidence, differing_fields, restore
from recloser.errors import FoldError
from recloser.history.history import Difference


class WitnessedFold:
    """Folds a log, and compares its witnesses and checkpoints with the result.

    Attributes:
        fold: The states of all breakers.
        witnesses: Number of witnesses compared.
        differences: The differences found.
        awaited: The edges whose witnesses must come next.
    """

    def __init__(self) -> None:
        self.fold = LogFold()
        self.witnesses = 0
        self.differences: list[Difference] = []
        self.awaited: deque[StateChanged] = deque()
        self._gap = GapWatch()
        self._parts = CheckpointParts()

    @property
    def is_gap(self) -> bool:
        """Whether events are lost just before the current position."""
        return self._gap.is_gap

    def fold_event(self, event: Event) -> Sequence[Edge]:
        """Fold the next event, and return the edges that it fires.

        Raises:
            FoldError: The event can't have happened. Call ``note_impossible`` to record that.
        """
        if event.kind == "state_changed":
            if not self._gap.is_joined:
                self._compare(event)
        elif self.awaited:
            self._note_unwitnessed(event)
        if event.kind == "checkpoint":
            self._check(event)
        self._gap.update(event)
        edges = self.fold.apply(event)
        self.awaited.extend(edges)
        return edges

    def note_missing(self) -> None:
        """Record the witnesses that are missing at the end of an intact log."""
        for edge in self.awaited:
            self.differences.append(
                Difference(edge.seq, edge.breaker, _described(edge), "the end of the log")
            )

    def note_impossible(self, event: Event, error: FoldError) -> None:
        """Record an event that can't have happened; nothing after it can be folded."""
        self.differences.append(
            Difference(
                seq=event.seq,
                breaker=getattr(event, "breaker", ""),
                expected="an event that can happen in this state",
                got=str(error),
            )
        )
        self.awaited.clear()

    def _compare(self, witness: StateChanged) -> None:
        self.witnesses += 1
        awaited = self.awaited.popleft() if self.awaited else None
        if awaited is None or not is_witnessed_by(awaited, witness):
            expected = "no edge" if awaited is None else _described(awaited)
            self._add_difference(witness, expected)

    def _check(self, checkpoint: Checkpoint) -> None:
        """Compare a checkpoint with the folded state, unless events are lost before it."""
        state = self.fold.breakers.get(checkpoint.breaker)
        if state is None or self.is_gap:
            return
        whole = self._parts.joined(checkpoint)
        if whole is None:
            return
        differing = differing_fields(state, restore(whole))
        if differing:
            self.differences.append(
                Difference(
                    seq=checkpoint.seq,
                    breaker=checkpoint.breaker,
                    expected="the state that the events before it lead to",
                    got=f"a checkpoint that differs in {', '.join(differing)}",
                )
            )

    def _note_unwitnessed(self, event: Event) -> None:
        """Record that an event comes where the witnesses of the event before should be."""
        is_cut = event.kind == "log_gap" or (event.kind == "log_opened" and event.unsealed > 0)
        if not is_cut:
            self._add_difference(event, _described(self.awaited[0]))
        # Otherwise a process that died, or a failed write, left the event without its witness.
        self.awaited.clear()

    def _add_difference(self, event: Event, expected: str) -> None:
        breaker = getattr(event, "breaker", "") or (self.awaited[0].breaker if self.awaited else "")
        got = _described(event) if event.kind == "state_changed" else event.kind
        self.differences.append(Difference(event.seq, breaker, expected, got))


def is_witnessed_by(edge: Edge, witness: StateChanged) -> bool:
    """Whether a witness records an edge.

    Logs of format 1 name more of the calls that made the rule fire; that is no difference.
    """
    return edge == witness or edge == evolve(witness, cause=bounded_evidence(witness.cause))


def _described(edge: StateChanged) -> str:
    cause = edge.cause
    evidence = f", on seq {', '.join(map(str, cause.seqs))}" if cause.seqs else ""
    if cause.span:
        evidence = f" in {cause.calls} calls, on seq {cause.span[0]} to {cause.span[1]}"
    return (
        f"{edge.trigger.value} of {edge.breaker!r} from {edge.from_state.value} to "
        f"{edge.to_state.value} (epoch {edge.epoch}) at {edge.at} ns by {cause.rule.value}, "
        f"{cause.observed} of {cause.rate or cause.threshold}{evidence}"
    )
