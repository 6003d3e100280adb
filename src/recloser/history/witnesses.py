"""Witnesses: the edges recorded live, compared with those that the fold finds."""

from collections import deque
from collections.abc import Sequence

from attrs import evolve

from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import Checkpoint, Edge, Event, StateChanged
from recloser.core.gaps import GapWatch
from recloser.core.log_fold import LogFold
from recloser.core.state import bounded_evidence, parted_fields, restore
from recloser.errors import FoldError
from recloser.history.history import Difference


class WitnessedFold:
    """Folds a log and compares its witnesses and checkpoints with what comes of it.

    Attributes:
        fold: The states.
        witnesses: How many witnesses have been compared.
        differences: Where they part from the fold.
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
        """Whether the last thing that is told is that events are lost."""
        return self._gap.is_gap

    def take(self, event: Event) -> Sequence[Edge]:
        """Fold the next event; the edges taken.

        Raises:
            FoldError: It can't have happened; ``refuse`` notes that.
        """
        if event.kind == "state_changed":
            if not self._gap.is_joined:
                self._compare(event)
        elif self.awaited:
            self._miss(event)
        if event.kind == "checkpoint":
            self._check(event)
        self._gap.take(event)
        edges = self.fold.apply(event)
        self.awaited.extend(edges)
        return edges

    def finish(self) -> None:
        """Note witnesses that the end of a whole log leaves wanting."""
        for edge in self.awaited:
            self.differences.append(
                Difference(edge.seq, edge.breaker, _told(edge), "the end of the log")
            )

    def refuse(self, event: Event, error: FoldError) -> None:
        """Note an event that can't have happened; what follows it can't be folded."""
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
            expected = "no edge" if awaited is None else _told(awaited)
            self._differ(witness, expected)

    def _check(self, checkpoint: Checkpoint) -> None:
        """A checkpoint must be what the events before it lead to, unless some of them are lost."""
        state = self.fold.breakers.get(checkpoint.breaker)
        if state is None or self.is_gap:
            return
        whole = self._parts.joined(checkpoint)
        if whole is None:
            return
        told = restore(whole)
        parted = parted_fields(state, told)
        if parted:
            self.differences.append(
                Difference(
                    seq=checkpoint.seq,
                    breaker=checkpoint.breaker,
                    expected="the state that the events before it lead to",
                    got=f"a checkpoint that differs in {', '.join(parted)}",
                )
            )

    def _miss(self, event: Event) -> None:
        """The witnesses of the event before should have stood here."""
        is_cut = event.kind == "log_gap" or (event.kind == "log_opened" and event.unsealed > 0)
        if not is_cut:
            # A process that died, or a disk, may have left the event and not its witness.
            self._differ(event, _told(self.awaited[0]))
        self.awaited.clear()

    def _differ(self, event: Event, expected: str) -> None:
        breaker = getattr(event, "breaker", "") or (self.awaited[0].breaker if self.awaited else "")
        got = _told(event) if event.kind == "state_changed" else event.kind
        self.differences.append(Difference(event.seq, breaker, expected, got))


def is_witnessed_by(edge: Edge, witness: StateChanged) -> bool:
    """Whether a witness is that of an edge; logs of format 1 name more of what it rests on."""
    return edge == witness or edge == evolve(witness, cause=bounded_evidence(witness.cause))


def _told(edge: StateChanged) -> str:
    cause = edge.cause
    evidence = f", on seq {', '.join(map(str, cause.seqs))}" if cause.seqs else ""
    if cause.span:
        evidence = f" in {cause.calls} calls, on seq {cause.span[0]} to {cause.span[1]}"
    return (
        f"{edge.trigger.value} of {edge.breaker!r} from {edge.from_state.value} to "
        f"{edge.to_state.value} (epoch {edge.epoch}) at {edge.at} ns by {cause.rule.value}, "
        f"{cause.observed} of {cause.rate or cause.threshold}{evidence}"
    )
