"""The cost of a call when 3, 30 and 60 % of the calls fail, with rules that trip and rules that do not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import cycle, repeat
from random import Random
from typing import Final

from attrs import evolve

from bench import floors
from bench.adapters import Adapter, Broken, Call, Protection, Unsupported
from bench.calls import BARE, FLOOR, NS
from bench.effort import Effort
from bench.ours import WAYS
from bench.results import Group
from bench.rules import PEERS, RULES, Rule, RuleMaker, ours
from bench.timing import Loop, Subject, interleave

SHARES: Final = (3, 30, 60)
"""Percentages of calls that fail."""

_SEED: Final = 8
DRAWS: Final = 100_003
"""Number of outcomes that are drawn before they repeat; a prime, so no window divides it.

Among this many calls the tripping rules trip at 3 % too, though rarely: three consecutive failures
occur once in 37,000 calls.
"""


def key_of(rule: Rule, share: int) -> str:
    """The short name of a group."""
    way = "tripping" if rule.trips else "borne"
    return f"hostile-{rule.kind.partition(' ')[0]}-{way}-{share}"


def measured(effort: Effort, adapters: Sequence[Adapter]) -> Iterator[Group]:
    """Measure the nanoseconds per call for each rule and share of failures."""
    effort = evolve(effort, rounds=effort.hostile_rounds, round_seconds=effort.hostile_seconds)
    here = {adapter.name for adapter in adapters}
    makers = {name: make for name, make in {**ours(), **PEERS}.items() if name in here}
    own = {way.name: way for way in WAYS}
    for rule in RULES:
        for share in SHARES:
            yield _group(rule, share, makers, own, effort)


def _group(
    rule: Rule,
    share: int,
    makers: Mapping[str, RuleMaker],
    own: Mapping[str, Adapter],
    effort: Effort,
) -> Group:
    way = "which trips" if rule.trips else "which is borne"
    subjects = [_subject(BARE, _bare, share), _subject(FLOOR, _floor, share)]
    missing = {}
    for name, make in makers.items():
        try:
            make(rule).close()
        except Unsupported as error:
            missing[name] = str(error)
        else:
            subjects.append(_subject(name, partial(make, rule), share, own.get(name)))
    series = interleave(subjects, effort)
    title = f"{share} % of the calls fail, {rule.kind}, {way}"
    return Group(key_of(rule, share), title, NS, FLOOR, series, missing)


@cache
def outcomes(share: int) -> Sequence[bool]:
    """Draw which calls fail: a percentage of them, at random but the same in every run."""
    random = Random(_SEED)
    return [random.randrange(100) < share for _ in range(DRAWS)]


class _Rejected(Exception):  # noqa: N818  # stands for the error of a subject that rejects nothing
    pass


def _bare() -> Protection[Call]:
    return Protection(None, lambda call: call, _Rejected)


def _floor() -> Protection[Call]:
    return Protection(None, floors.recording, _Rejected)


class _Counter:
    total = 0


def _subject(
    name: str, make: Callable[[], Protection[Call]], share: int, own: Adapter | None = None
) -> Subject:
    rejected = _Counter()
    begin = partial(_begun, make, outcomes(share), rejected)
    counted: Mapping[str, Callable[[], int]] = {"rejected": lambda: rejected.total}
    if own is None:
        return Subject(name, begin, counted=counted)
    return Subject(name, begin, own.stretch, {**counted, **own.counted})


@contextmanager
def _begun(
    make: Callable[[], Protection[Call]], fails: Sequence[bool], rejected: _Counter
) -> Iterator[Loop]:
    protection = make()
    draw = partial(next, cycle(fails))

    def dependency() -> None:
        if draw():
            raise Broken

    call, refused = protection.protect(dependency), protection.refused

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            try:
                call()
            except Broken:
                pass
            except refused:
                rejected.total += 1

    try:
        yield loop
    finally:
        protection.close()
