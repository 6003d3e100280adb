"""The results of measurements, and the ratios between them."""

import statistics
from collections.abc import Mapping, Sequence

from attrs import field, frozen


@frozen
class Series:
    """One subject of one measurement.

    Attributes:
        name: The name of the subject.
        samples: The figure of each round, in the unit of the group.
        cpu: The processor time of the calling thread in the same rounds; empty if not measured.
        figures: Further figures, by name.
    """

    name: str
    samples: tuple[float, ...]
    cpu: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(factory=dict)

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles; for few rounds, the smallest and the largest figure."""
        if len(self.samples) < 4:
            return min(self.samples), max(self.samples)
        quarters = statistics.quantiles(self.samples, n=4, method="inclusive")
        return quarters[0], quarters[2]

    @property
    def cpu_median(self) -> float | None:
        """The median of the processor time of the calling thread."""
        return statistics.median(self.cpu) if self.cpu else None

    def ratio_to(self, other: "Series") -> float:
        """The median of the ratios to the figure of another series in the same round.

        If the series have different numbers of rounds, the ratio of their medians.
        """
        return _ratio(self.samples, other.samples)

    def cpu_ratio_to(self, other: "Series") -> float | None:
        """The median of the ratios of the processor time of the calling threads."""
        return _ratio(self.cpu, other.cpu) if self.cpu and other.cpu else None


@frozen
class Repeated(Series):
    """One subject of one measurement, in several whole runs.

    Each figure is the median over the runs: the median of their medians, or of their ratios.

    Attributes:
        runs: The series of each run.
    """

    runs: tuple[Series, ...] = ()

    @classmethod
    def of(cls, runs: Sequence[Series]) -> "Repeated":
        """Combine several runs of one subject."""
        named = dict.fromkeys(name for run in runs for name in run.figures)
        return cls(
            runs[0].name,
            tuple(sample for run in runs for sample in run.samples),
            tuple(sample for run in runs for sample in run.cpu),
            # A run in which a counter stayed at 0 has no such figure.
            {name: statistics.median(run.figures.get(name, 0) for run in runs) for name in named},
            tuple(runs),
        )

    @property
    def median(self) -> float:
        """The median of the medians of the runs."""
        return statistics.median(run.median for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest median of the runs."""
        medians = [run.median for run in self.runs]
        return min(medians), max(medians)

    @property
    def cpu_median(self) -> float | None:
        """The median over the runs of the processor time of the calling thread."""
        found = [run.cpu_median for run in self.runs if run.cpu_median is not None]
        return statistics.median(found) if found else None

    def ratio_to(self, other: Series) -> float:
        """The median of the ratios of the runs."""
        assert isinstance(other, Repeated)
        pairs = zip(self.runs, other.runs, strict=True)
        return statistics.median(mine.ratio_to(its) for mine, its in pairs)

    def cpu_ratio_to(self, other: Series) -> float | None:
        """The median of the ratios of the processor time of the calling threads."""
        assert isinstance(other, Repeated)
        pairs = zip(self.runs, other.runs, strict=True)
        found = [ratio for mine, its in pairs if (ratio := mine.cpu_ratio_to(its)) is not None]
        return statistics.median(found) if found else None


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    if len(ours) != len(theirs):
        return statistics.median(ours) / statistics.median(theirs)
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


@frozen
class Group:
    """One measurement of several subjects, interleaved.

    Attributes:
        key: The short name.
        title: The title.
        unit: The unit of the figures.
        reference: The name of the subject that the others are compared with.
        series: The subjects.
        missing: The subjects that are left out, with the reasons.
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
    """The results of one run, or of several runs combined.

    Attributes:
        machine: The properties of the machine, by name.
        versions: The versions of the packages, by name.
        missing: The peers that were not measured, with the reasons.
        groups: The measurements.
        runs: The number of whole runs that the figures come from.
    """

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    groups: tuple[Group, ...]
    runs: int = 1

    @property
    def rule(self) -> str:
        """A sentence on how the figures are computed, for readers of the results."""
        if self.runs == 1:
            return (
                "One run, which is not what is published: each figure is the median of its rounds, each "
                "ratio the median of the ratios within the rounds; the range is from quartile to "
                "quartile, of fewer than four rounds from the least to the most."
            )
        return (
            f"{self.runs} whole runs, one after another on one machine: each figure is the median of the "
            f"{self.runs} that the runs had, and so is each ratio. In a run, a figure is the median of "
            "its rounds, and a ratio the median of the ratios within the rounds. The range is from the "
            "least to the most of the runs' figures."
        )

    def group(self, key: str) -> Group | None:
        """The measurement with that short name, or None."""
        return next((group for group in self.groups if group.key == key), None)

    def as_data(self) -> dict[str, object]:
        """The run as data for JSON."""
        return {
            "schema": "recloser.bench/1",
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "missing": dict(self.missing),
            "runs": self.runs,
            "rule": self.rule,
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
        **({"runs": [run.median for run in series.runs]} if isinstance(series, Repeated) else {}),
        "ratios": {other.name: series.ratio_to(other) for other in group.series},
        "cpu_ratios": {
            other.name: ratio
            for other in group.series
            if (ratio := series.cpu_ratio_to(other)) is not None
        },
    }
