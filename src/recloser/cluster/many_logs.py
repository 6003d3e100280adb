"""The histories of many logs, found piece by piece: the same as each log's own replay would find.

Each log has breakers of its own. Where several logs have a breaker of one name, as those of several
hosts do, they are told apart by the host, or by the file.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final

from attrs import frozen

from recloser.cluster.dataset import Source, described, labels_of
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.jobs import (
    FoldedBreaker,
    FoldedSpan,
    drive_whole,
    fold_span,
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
        histories: What each of them folds to, or drives breakers to.
    """

    sources: Sequence[Source]
    histories: Sequence[History]

    @cached_property
    def names(self) -> Sequence[Mapping[str, str]]:
        """For each log, what its breakers are called among all of them."""
        return told_apart(self.sources, [history.snapshots for history in self.histories])

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical edges of all logs, in hex.

        It is that of one log with all these breakers: see ``digest_of``. Of breakers of one
        name, those of the log whose name is first come first.
        """
        return digest_of(edge for history in self.histories for edge in history.edges)


def told_apart(
    sources: Sequence[Source], names: Sequence[Collection[str]]
) -> Sequence[Mapping[str, str]]:
    """For each log, what its breakers are called among those of all logs."""
    counts = Counter(name for own in names for name in own)
    return [
        {name: name if counts[name] == 1 else f"{name} @ {label}" for name in own}
        for label, own in zip(labels_of(sources), names, strict=True)
    ]


def sources_of(urls: Sequence[str], runner: Runner) -> Sequence[Source]:
    """The logs at these paths or URLs.

    Raises:
        LogError: One can't be read.
    """
    return runner.run(described, [(url,) for url in urls])


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
        runner: Does the work.
        config: What to drive imported traffic with; by default ``CircuitBreakerConfig()``.
        on_done: Told how far it is.

    Raises:
        LogError: A log can't be read or is damaged.
        ConfigError: ``config`` is given, and breakers wrote a log.
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
        work = [driven_with] if source.about.traffic else source.spans
        jobs += [(source.url, piece) for piece in work]
    found = iter(runner.run(_take, jobs, on_done))
    taken = [_history_of(source, found) for source in sources]
    whole = [number for number, history in enumerate(taken) if isinstance(history, str)]
    redone = iter(runner.run(fold_whole, [(sources[n].url, taken[n]) for n in whole]))
    return Histories(sources, [next(redone) if isinstance(one, str) else one for one in taken])


def _take(url: str, work: range | CircuitBreakerConfig) -> FoldedSpan | History:
    return fold_span(url, work) if isinstance(work, range) else drive_whole(url, work)


def _history_of(source: Source, found: Iterator[FoldedSpan | History]) -> History | str:
    """The history of a log; or why it has to be folded event by event."""
    if source.about.traffic:
        driven = next(found)
        assert isinstance(driven, History)
        return driven
    folded: list[FoldedBreaker] = []
    because = None
    for span in islice(found, len(source.spans)):
        assert isinstance(span, FoldedSpan)
        because = because or span.because
        folded += span.breakers
    return because or _folded_history(source, folded)


def _folded_history(source: Source, folded: Sequence[FoldedBreaker]) -> History | str:
    edges = in_order(taken for breaker in folded for taken in breaker.taken)
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
