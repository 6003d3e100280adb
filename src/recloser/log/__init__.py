"""The log: an append-only record of events, and the truth about the breakers in it.

This is the specification of format version 2; what version 1 lacks is told at the end. A log is a
folder of segments named by twelve digits counting from ``000000000001.jsonl``; one segment alone is
a valid trace. A segment is UTF-8 text of one compact JSON object a line, each ended by LF and
shorter than 1 MiB; ``recloser.core.limits`` states this and every other limit. The first key of each is
``event``, then ``seq`` and ``at``; the fields are those of the classes in ``recloser.core.events``, with
what has its default value left out, ``from_state`` and ``to_state`` shortened to ``from`` and
``to``, wall times in RFC 3339 with ``Z``, enums by their value. Unknown fields are an error.

* ``seq`` counts from 1 without a hole over all segments, but for one that a ``log_gap`` tells of;
  ``at`` never falls.
* Every segment begins with ``log_opened``, then, behind the edges that this fires, a ``checkpoint``
  of every breaker there is, ``checkpoints`` of them in all, so that a fold can start at any
  segment. A restarted process begins a new segment with a higher ``session`` and never touches an
  older one; a full segment is followed by one of the same session.
* A checkpoint whose state lists many numbers takes several lines, ``part`` 1 to ``parts``, each with
  a ``seq`` of its own: see ``recloser.core.checkpoint_parts``. They stand in their order, with seals and
  parts of other breakers in between at the most. Parts whose last one is missing say nothing.
* Elsewhere a checkpoint is what the events before it lead to, and changes nothing. Behind a
  ``log_gap``, which says how many events could not be written, checkpoints of every breaker say
  what they led to.
* A ``log_gap`` that is the last event of a segment and has a ``chain`` stands for the rest of that
  segment, which was damaged, and for segments after it that are gone: ``chain`` and ``unsealed`` are
  those of the next segment's header, and as many bytes as its ``torn`` says follow the gap. What that
  header and the edges behind it say is about states that are lost; its checkpoints say what holds.
* A file whose name ends in ``.damaged``, or that and a number, was set aside and is no part of the log.
* A ``state_changed`` line stands directly behind the event that fired it, edges of several breakers
  in the order of their deadlines.
* A ``log_opened`` whose ``detail`` is ``runs`` says that like outcomes of a breaker, all within one
  whole second of ``at``, may be one event with a ``count``.
* ``log_sealed`` stands at the latest behind every 4,096th event and its witnesses. Its ``count`` is the number of
  lines since the seal before it or the segment's start. Its ``digest`` is the SHA-256, in lower-case
  hex, of the previous digest as 64 hex digits followed by every byte of the segment behind the
  previous seal's line, up to and including ``"digest":"`` of its own line. For the first seal of a
  segment the previous digest is ``chain`` of the segment's ``log_opened``, by default 64 zeros.
* ``chain`` is the last digest of the segment before. Where that one was left without a closing seal,
  ``torn`` counts the bytes at its end that are no part of the log (a last line without LF, or what
  the disk could not be made sure of), ``unsealed`` the whole lines between them and its last seal,
  and ``chain`` is the SHA-256 of its last digest followed by the bytes of those whole lines, or that
  digest itself where there are none.

Version 1 has every checkpoint in one line. In the ``window`` of a state it has one number for each
outcome, where version 2 has ``[number, count]`` for those that one event stands for. Its edges name
each outcome that they rest on, where version 2 has the first and the last as ``span``, and how many
as ``calls``, if they are more than 512.
"""
