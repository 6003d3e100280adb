"""The log: an append-only record of events, from which every state is computed.

This is the specification of format version 2. Its last section says how version 1 differs.

Files
    A log is a folder of segments. A segment is named by twelve digits, or up to eighteen once those
    are used up, and ``.jsonl``; the first is ``000000000001.jsonl``, and numbers rise. A number may
    be skipped when another file had its name. A full segment may be compressed with zstd and is
    then named ``.jsonl.zst``; if both files exist, the plain one counts. The oldest segments may be
    removed. A single segment is also a valid log. A file whose name ends in ``.damaged``, or in
    ``.damaged-`` and a number, was set aside and is not part of the log.

Lines
    A segment is UTF-8 text with one JSON object per line. Each line ends with LF and is shorter
    than 1 MiB, LF included; ``recloser.core.limits`` states this and every other limit. The first
    keys are ``event``, ``seq`` and ``at``, in this order. The other keys are the fields of the
    event's class in ``recloser.core.events``, in the order of the class. A field that has its
    default value is left out. ``from_state`` and ``to_state`` are written as ``from`` and ``to``,
    wall times in RFC 3339 with ``Z``, and enums by their value. An unknown field is an error.

    ``seq`` starts at 1 and rises by 1 from each line to the next, across all segments. The one
    exception is a ``log_gap``, whose ``seq`` may be any higher number; its ``lost`` says how many
    events are missing at most. ``at`` is the time of the log in nanoseconds and never falls.

Start of a segment
    The first event, the header, is ``log_opened``. After it, and after the state changes that it
    fires, follows one ``checkpoint`` per breaker; ``checkpoints`` in the header is their number.
    Only ``state_changed``, ``clock_ticked``, ``log_gap`` and ``log_sealed`` lines may come before
    the last of them. So a fold can start at any segment. A process that opens a log starts a new
    segment with a higher ``session`` and never writes to an older segment. When a segment is full,
    the same session continues in the next one.

Checkpoints
    A ``checkpoint`` holds the whole state of one breaker. When that state has long lists of
    numbers, it is split over several lines, with ``part`` from 1 to ``parts`` and a ``seq`` each;
    see ``recloser.core.checkpoint_parts``. These lines are in order, and only seals and parts of
    other breakers may be between them. Parts without the last one have no meaning and are ignored.

    Later in a segment, a checkpoint repeats the state that the events before it lead to and changes
    nothing. The exception is after a ``log_gap``, which says how many events could not be written:
    there, the checkpoints of all breakers hold the states after the missing events.

State changes
    A ``state_changed`` line directly follows the event that fired it. If one event fires changes of
    several breakers, they are in the order of the breakers' deadlines.

Merged outcomes
    If the ``detail`` of ``log_opened`` is ``runs``, equal outcomes of one breaker within one whole
    second of ``at`` may be written as one event with a ``count``.

Seals
    A ``log_sealed`` line closes a block of lines. A block has at most 4,096 lines before its seal,
    not counting ``state_changed`` lines at its end. ``count`` is the number of lines since the
    previous seal, or since the start of the segment. ``digest`` is the SHA-256, in lower-case hex,
    of

    1. the previous digest, as 64 hex digits, followed by
    2. every byte of the segment from just after the previous seal's line (or from the start of the
       segment) up to and including ``"digest":"`` in the seal's own line.

    For the first seal of a segment, the previous digest is the ``chain`` of its ``log_opened``,
    which defaults to 64 zeros.

From segment to segment
    Three fields of ``log_opened`` describe how the previous segment ended.

    * ``torn``: bytes at its end that are not part of the log, such as a last line without LF, or
      bytes that could not be synced to disk. 0 by default.
    * ``unsealed``: whole lines between its last seal and the torn bytes. 0 by default.
    * ``chain``: the digest of its last seal, or the ``chain`` of its own header if it has no seal,
      when ``unsealed`` is 0. Otherwise the SHA-256, in lower-case hex, of that digest, as 64 hex
      digits, followed by the bytes of the unsealed lines.

Damage that was cut out
    A ``log_gap`` that has a ``chain`` and is the last event of its segment replaces the rest of
    that segment, which was damaged, and any segments after it that were lost. Its ``chain`` and
    ``unsealed`` equal those in the next segment's header, and as many bytes follow its line as that
    header's ``torn`` says. The header and the state changes directly after it refer to states that
    are lost; the checkpoints after them hold the states from which to continue.

Version 1
    Version 1 differs in three points. A checkpoint is always one line. The ``window`` in a state
    has one number per outcome, where version 2 has ``[number, count]`` if one event stands for
    several outcomes. A state change names every outcome that made its rule fire, where version 2,
    for more than 512 of them, has the first and the last as ``span`` and their number as ``calls``.
"""
