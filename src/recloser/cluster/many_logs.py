"""Replay many logs, job by job; each history equals that of the log's own replay.

Each log has its own breakers. If several logs have a breaker of the same name, as the logs of several
hosts do, the host or the file is added to the name.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final

from attrs import frozen

from recloser.cluster.dataset import Source, describe, labels_of
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.jobs import (
    FoldedBreaker,
    FoldedRowGroups,
    drive_whole,
    fold_row_groups,
    fold_whole,
)
from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.errors import ConfigError
from recloser.history.columnar.breaker_fold import in_order
from recloser.history.history import History, digest_of
from recloser.history.timeline import Timeline

WITNESSED: Final = "the recorded edges or states differ from the computed ones"


@frozen(slots=False)
class Histories:
    """The histories of the logs of a dataset.

    Attributes:
        sources: The logs, in the order of their names.
        histories: The history of each log.
    """

    sources: Sequence[Source]
    histories: Sequence[History]

    @cached_property
    def names(self) -> Sequence[Mapping[str, str]]:
        """For each log, the distinct name of each of its breakers."""
        return distinct_names(self.sources, [history.snapshots for history in self.histories])

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical edges of all logs, in hexadecimal.

        It equals the digest of a single log with all these breakers; see ``digest_of``. Breakers of
        the same name are in the order of their logs.
        """
        return digest_of(edge for history in self.histories for edge in history.edges)


def distinct_names(
    sources: Sequence[Source], names: Sequence[Collection[str]]
) -> Sequence[Mapping[str, str]]:
    """Return, for each log, a distinct name for each of its breakers."""
    counts = Counter(name for own in names for name in own)
    return [
        {name: name if counts[name] == 1 else f"{name} @ {label}" for name in own}
        for label, own in zip(labels_of(sources), names, strict=True)
    ]


def sources_of(urls: Sequence[str], runner: Runner) -> Sequence[Source]:
    """Describe the logs at these paths or URLs.

    Raises:
        LogError: A file cannot be read.
    """
    return runner.run(describe, [(url,) for url in urls])


def replay_many(
    sources: Sequence[Source],
    runner: Runner,
    *,
    config: Settings | None = None,
    on_done: OnDone | None = None,
) -> Histories:
    """Rebuild the history of every breaker in every log.

    Args:
        sources: The logs.
        runner: Runs the jobs.
        config: Settings of breakers driven by imported calls; by default ``CircuitBreakerConfig()``.
        on_done: Called with the number of finished jobs and of all jobs.

    Raises:
        LogError: A log cannot be read or is damaged.
        ConfigError: ``config`` is given, but a log was recorded by breakers.
    """
    recorded = [source for source in sources if not source.about.traffic]
    if config is not None and recorded:
        raise ConfigError(
            f"{recorded[0].url} was written by breakers, whose configuration is in it; "
            "settings can be given only for imported traffic"
        )
    driven_with = CircuitBreakerConfig() if config is None else as_config(config)
    jobs: list[tuple[str, range | CircuitBreakerConfig]] = []
    for source in sources:
        work = [driven_with] if source.about.traffic else source.row_groups
        jobs += [(source.url, piece) for piece in work]
    found = iter(runner.run(_run_piece, jobs, on_done))
    results = [_history_of(source, found) for source in sources]
    whole = [n for n, history in enumerate(results) if isinstance(history, str)]
    redone = iter(runner.run(fold_whole, [(sources[n].url, results[n]) for n in whole]))
    return Histories(sources, [next(redone) if isinstance(one, str) else one for one in results])


def _run_piece(url: str, work: range | CircuitBreakerConfig) -> FoldedRowGroups | History:
    return fold_row_groups(url, work) if isinstance(work, range) else drive_whole(url, work)


def _history_of(source: Source, found: Iterator[FoldedRowGroups | History]) -> History | str:
    """Return the history of a log, or why it must be folded event by event."""
    if source.about.traffic:
        driven = next(found)
        assert isinstance(driven, History)
        return driven
    folded: list[FoldedBreaker] = []
    reason = None
    for result in islice(found, len(source.row_groups)):
        assert isinstance(result, FoldedRowGroups)
        reason = reason or result.reason
        folded += result.breakers
    return reason or _folded_history(source, folded)


def _folded_history(source: Source, folded: Sequence[FoldedBreaker]) -> History | str:
    edges = in_order(edge for breaker in folded for edge in breaker.edges)
    seqs: dict[str, list[int]] = {}
    for edge in edges:
        seqs.setdefault(edge.breaker, []).append(edge.seq)
    if seqs != {each.snapshot.breaker: each.witnesses for each in folded if each.witnesses}:
        return WITNESSED
    return History(
        edges=edges,
        snapshots={each.snapshot.breaker: each.snapshot for each in folded},
        witnesses=len(edges),
        differences=(),
        timeline=Timeline(source.readings),
        events=(),
        count=source.about.events,
        tail=source.about.tail,
        engine="columns",
    )
