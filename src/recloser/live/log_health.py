"""How well a log is written."""

from attrs import frozen


@frozen
class LogHealth:
    """How well a log is written at one moment.

    Attributes:
        waiting: Events that were appended and are not written yet.
        lag_ns: How long the oldest of them has waited, by the time of the log.
        lost: Events of this session that could not be written, and what there may have been of them
            in what was damaged when the log was opened.
        gaps: How many gaps in the log tell of them so far.
        failure: Why the log, or its thread or housekeeping, does not do its work now; None while
            all of them do.
        missed_by_listeners: How often a listener did not receive an event, as it was too slow, or
            was interrupted.
        disturbance: What was done last to the folder while the log was written, as that its lock
            was removed; None if nothing was. It stays when the log goes on.
        damage: What was damaged when the log was opened, and where it was set aside; None if
            nothing was.
        passed_over: Entries of a shared stream that can't be read, or not to the end.
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
