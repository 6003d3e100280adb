"""Breakers shared by several processes through a Redis or Valkey stream.

Each process that shares breakers is a *member*. Members append entries to one stream, and each of
them folds all entries in their order. The rules of the fold use only the entries, so members
that have read up to the same entry hold equal states. The rest of this text specifies the stream, so
that another implementation can be a member. ``stream_entry`` reads and writes entries;
``stream_fold`` applies these rules.

**Keys.** The stream is the Redis stream ``recloser:{NAME}``; the braces keep it in one slot of a
Redis cluster. A member publishes an empty message on the channel ``recloser:{NAME}:bell`` when
others should read at once. Messages are hints: a member also reads at least once per second.

**Fields of an entry.** Texts are UTF-8; integers are decimal digits and at most 2**62.

* ``member``: the name of the sender, at most 100 characters, unique to the process.
* ``batch``: an integer that counts the sender's entries from 1. ``begin`` entries have 0.
* exactly one of ``events``, ``begin``, ``checkpoint`` and ``away`` (the *body*, described below).
* ``replace`` (optional, any value): ``breaker_configured`` lines replace the settings of a known
  breaker.
* ``again`` (optional): the id of the entry that first held an operator's command, where this entry
  restores a command that the stream has lost.
* ``at`` (optional integer): the sender's estimate of the log's time in nanoseconds. Members send it
  after the ids have stood still for 10 ms (see *Time*).

**Bodies.** ``begin``, ``checkpoint`` and ``away`` are JSON objects of at most 64 MiB. Their keys are
the attributes of ``Begin``, ``StreamCheckpoint`` and ``OfflineReport`` in ``stream_entry``.

* ``events``: up to 500 lines separated by a newline, 2 MiB together; further lines are not read. A
  line is a JSON object as in a log file (see ``recloser.log``): ``event`` is its first key, and
  ``seq`` and ``at`` are left out. A line is a call's outcome, ``call_rejected``, an operator's
  command, ``breaker_configured``, or a claim. A *claim* is a ``probe_admitted`` line that asks for a
  probe in ``epoch``; its ``probe`` is the sender's own count of claims.
* ``begin``: starts the stream. It holds the stream's generation, the versions of the format and of
  the rules, and the states and last commands brought from an earlier stream.
* ``checkpoint``: the result of folding all entries up to and including the entry ``of``. A new
  member starts from it.
* ``away``: reports what a member did on its own while it could not reach the stream.

**Time.** The ids of Redis hold the milliseconds of the server's clock, and never decrease. They *stand
still* at an entry whose milliseconds equal those of the entry before or lie after the year 9999. That
happens within a millisecond, and for long if the server's clock is set back or an id is forged. Let
``ms`` be the milliseconds of the newest id at which they did not stand still, and ``first_ms`` those of
the ``begin`` entry. The time of an entry is ``begin.at + (ms - first_ms) * 1_000_000 + shift``
nanoseconds, or the time of the entry before if that is later. ``shift`` is 0 at first. If the ids stand
still and the entry has an ``at`` that is later than this time, then ``at`` is the time of the entry, and
``shift`` is increased so that the formula gives ``at``. Clocks of the members' hosts have no other
influence.

**Folding an entry.** In this order:

1. Ignore the entry if its ``batch`` is not above the last one of the same member (it was sent twice;
   the last batches of 1000 members are remembered), if it is a ``begin`` that is not a restart (see
   *Lost data*), or a ``checkpoint`` of another generation.
2. If the time has reached a breaker's deadline, or one second has passed since the last tick, record
   a ``clock_ticked`` event. It fires the edges that depend on time.
3. ``checkpoint``: record a seal, a log header and the states. ``away``: record a ``log_gap`` and the
   states. (The states are ``checkpoint`` events, one per breaker or several if the state is large.)
   ``events``: fold the lines in their order by the rules below. Each event is followed by the edges
   that it fires.
4. If 1024 or more events were recorded since the last seal, record a seal.

Every member numbers these events alike. Together they are a log, which ``recloser export`` writes.

**Folding a line.** A line is ignored if it cannot be read, is longer than 1 MiB, has a ``count`` that is
not between 1 and 2**31 - 1, or names an unknown breaker (unless it configures it). Further:

* An outcome is folded if its epoch is not above the breaker's current epoch.
* A claim is granted if the breaker is half-open, in the claimed epoch, and has a free probe. The
  recorded ``probe_admitted`` has the next probe number. Other claims are ignored, so the first
  claims of an epoch win.
* ``breaker_configured`` is folded if the breaker is unknown, or if the entry has ``replace`` and the
  settings differ. A new breaker then receives the last commands known for it.
* A command is folded; with ``again``, only if neither that command nor a newer one of its kind is known
  for the breaker. Changes of mode are one kind; ``forced_open``, ``forced_closed`` and ``reset``
  together are the other.

**Duties of a member.** A member learns what became of a claim when it reads its own entry back. If no
call uses a granted probe within a second, it reports the probe as ``call_ignored``, so that another can
be granted. A member whose entry is the 2000th since the last checkpoint, or every 50th
after that, sends a checkpoint. With it, it trims the stream to the newest entry that has a
checkpoint and at least ``keep_entries`` entries after it.

**Lost data.** A member re-reads its last known entry in each round trip. If that entry is gone, the
stream has lost data, and the member folds it anew from a checkpoint or from ``begin``. If there is no
stream, a member appends ``begin`` with the states that it holds, as the next generation. If entries
are left but nothing to start from, and no member has added a checkpoint after 2.5 seconds, a member
appends a ``begin`` whose ``upto`` is the id of the last entry left. This ``begin`` is a *restart* for
a member whose stream began no later than that id (in milliseconds): the member folds the stream anew
from there.
"""
