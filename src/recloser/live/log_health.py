"""How well a log is written."""

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from recloser.live.sequencer import Sequencer
    from recloser.live.write_buffer import WriteBuffer
    from recloser.log.set_aside import Damage


@frozen
class LogHealth:
    """How well a log is written at one moment.

    Attributes:
        waiting: Events that were appended and are not written yet.
        lag_ns: How long the oldest of them has waited, in nanoseconds of the log.
        lost: Events of this session that could not be written, plus those that may have been in what
            was damaged when the log was opened.
        gaps: How many gaps in the log record lost events so far.
        failure: Why the log, its thread or its retention does not do its work now; None while all of
            them do.
        missed_by_listeners: How often a listener did not receive an event, because it was too slow
            or was interrupted.
        disturbance: What was done last to the folder while the log was written, such as the removal
            of its lock; None if nothing was. It stays when the log goes on.
        damage: What was damaged when the log was opened, and where it was set aside; None if nothing
            was.
        passed_over: Entries of a shared stream that can't be read, or only in part.
    """

    waiting: int
    lag_ns: int
    lost: int
    gaps: int
    failure: str | None
    missed_by_listeners: int = 0
    disturbance: str | None = None
    damage: str | None = None
    passed_over: int = 0


def health_of(
    sequencer: "Sequencer | None",
    buffer: "WriteBuffer",
    *,
    failure: str | None,
    retention_failure: str | None,
    damage: "Damage | None",
    disturbance: str | None,
) -> LogHealth:
    """Return the health of a log in a folder.

    No lock is taken: each figure is read in one step, and the figures may be a few events apart.

    Args:
        sequencer: The sequencer of the log; None before the first breaker on it.
        buffer: The events that wait to be written.
        failure: Why the thread of the log does not do its work; None while it does.
        retention_failure: Why segments are not compressed or removed; None while they are.
        damage: What was damaged when the log was opened.
        disturbance: What was done last to the folder.
    """
    damage_text = None if damage is None else str(damage)
    if sequencer is None:
        return LogHealth(0, 0, buffer.gap_lost, buffer.gaps, failure, damage=damage_text)
    chunks, at = buffer.chunks, sequencer.fold.at
    return LogHealth(
        waiting=buffer.waiting + buffer.in_hand_events + len(sequencer.call_buffer),
        lag_ns=max(0, at - chunks[0][0].at) if chunks else 0,
        lost=buffer.lost + buffer.gap_lost,
        gaps=buffer.gaps,
        failure=buffer.failure or failure or retention_failure,
        missed_by_listeners=sequencer.notifier.missed,
        damage=damage_text,
        disturbance=disturbance,
    )
