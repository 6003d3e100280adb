"""What was measured, and the ratios in it."""

import statistics
from collections.abc import Mapping, Sequence

from attrs import field, frozen


@frozen
class Series:
    """One subject of one measurement.

    Attributes:
        name: What was measured.
        samples: The figure of each round, in the unit of the group.
        cpu: Of the same rounds, the processor time of the calling thread alone; where that is not
            measured, empty.
        figures: What else is known of it, by name.
    """

    name: str
    samples: tuple[float, ...]
    cpu: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(factory=dict)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles; of few rounds, the least and the most."""
        if len(self.samples) < 4:
            return min(self.samples), max(self.samples)
        quarters = statistics.quantiles(self.samples, n=4, method="inclusive")
        return quarters[0], quarters[2]

    @property
    def cpu_median(self) -> float | None:
        """The middle of the calling thread's processor time."""
        return statistics.median(self.cpu) if self.cpu else None

    def ratio_to(self, other: "Series") -> float:
        """The middle of the ratios to another's figure in the same round.

        Where they had not as many turns, the ratio of their medians.
        """
        return _ratio(self.samples, other.samples)

    def cpu_ratio_to(self, other: "Series") -> float | None:
        """The same of the calling threads' processor time."""
        return _ratio(self.cpu, other.cpu) if self.cpu and other.cpu else None


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    if len(ours) != len(theirs):
        return statistics.median(ours) / statistics.median(theirs)
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


@frozen
class Group:
    """One measurement of several subjects, interleaved.

    Attributes:
        key: Its short name.
        title: Its name.
        unit: Of the figures.
        reference: The subject that the others are compared with.
        series: The subjects.
        missing: What is not among them, and why.
    """

    key: str
    title: str
    unit: str
    reference: str
    series: tuple[Series, ...]
    missing: Mapping[str, str] = field(factory=dict)

    def __getitem__(self, name: str) -> Series:
        return next(series for series in self.series if series.name == name)

    def __contains__(self, name: object) -> bool:
        return any(series.name == name for series in self.series)


@frozen
class Result:
    """One run.

    Attributes:
        machine: Where and with what it was measured, by name.
        versions: The packages, with their versions.
        missing: The peers that are not in it, and why.
        groups: The measurements.
    """

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    groups: tuple[Group, ...]

    def group(self, key: str) -> Group | None:
        """The measurement of that short name, if it was made."""
        return next((group for group in self.groups if group.key == key), None)

    def as_data(self) -> dict[str, object]:
        """The run as data for JSON."""
        return {
            "schema": "recloser.bench/1",
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "missing": dict(self.missing),
            "groups": [_group_as_data(group) for group in self.groups],
        }


def _group_as_data(group: Group) -> dict[str, object]:
    return {
        "key": group.key,
        "title": group.title,
        "unit": group.unit,
        "reference": group.reference,
        "missing": dict(group.missing),
        "subjects": [_series_as_data(series, group) for series in group.series],
    }


def _series_as_data(series: Series, group: Group) -> dict[str, object]:
    low, high = series.spread
    return {
        "name": series.name,
        "median": series.median,
        "low": low,
        "high": high,
        "least": min(series.samples),
        "rounds": len(series.samples),
        "cpu_median": series.cpu_median,
        **series.figures,
        "ratios": {other.name: series.ratio_to(other) for other in group.series},
        "cpu_ratios": {
            other.name: ratio
            for other in group.series
            if (ratio := series.cpu_ratio_to(other)) is not None
        },
    }
