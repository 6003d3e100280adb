"""Past one machine: breakers that a fleet of processes shares, and replay over many files.

A dataset of exported logs is folded by ``recloser.cluster.many_logs``, here or by the workers of a dask
cluster. A fleet shares its breakers by the same fold, put in order by a Redis or Valkey stream.

What follows is the specification of the stream. Its one key is ``recloser:{NAME}``; the braces keep
it in one slot of a cluster. Whatever a process has to say it appends as an entry, and what it
believes is what all the entries before come to; so any two processes that have read up to the same
entry are in the same state. An entry has the fields ``member``, the name of the process that sent
it, ``batch``, which counts its entries from 1, and one of these:

* ``events``: lines as in a log (see ``recloser.log``), but for ``seq`` and ``at``, which the stream
  gives. They are outcomes, refusals, commands and configurations. A ``probe_admitted`` among them
  is a *claim*: it asks for a probe of ``epoch``, and ``probe`` is the claimant's own count of claims.
* ``begin``: the first entry of a stream. It names the generation, the version of the decision
  rules, and the state of every breaker that is brought from a stream before it.
* ``checkpoint``: all there is to know at an earlier entry, ``of``, from which a fold can start.
* ``away``: what a process did on its own while it could not reach the stream.

What an entry means is decided in ``recloser.sharing.stream_fold`` alone, by the entries before it:

* Its time is that of its id, by the clock of the server: ``at`` is the ``at`` of ``begin`` plus the
  milliseconds since. No clock of a host takes part.
* An entry of a member with a ``batch`` not above its last one was sent twice, and is nothing.
* Ticks, edges and seals follow from the entries, so that each entry stands for certain events of a
  log and all processes number them alike. The log that they make is what ``recloser export`` writes.
* A claim is granted while the breaker is half-open, in that epoch, and has a place left; else it is
  nothing. So of all claims of an epoch the first ones win.
* ``breaker_configured`` names a breaker for the first time; for one that is known it is nothing,
  unless the entry has a field ``replace``.
* What can't be read, or can't have happened, is nothing.

Every so many entries the member whose entry it was adds a checkpoint, and trims the stream to one
that is old enough. A stream whose last known entry is gone has lost its data, or a part of it: every
process then folds anew what there is; where there is no stream at all, the first process to come
begins the next generation with the states that it last had of the stream.
"""
