"""Settings of resilience4j, Polly and Envoy, as ours; what does not carry over is named."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from recloser.errors import ConfigError

_MAX_BYTES: Final = 1 << 18


@frozen
class ForeignSettings:
    """Another library's settings in our words.

    Attributes:
        settings: What carries over, as for ``CircuitBreakerConfig.from_mapping``.
        left_out: What does not, or not quite, a line each.
    """

    settings: dict[str, object]
    left_out: list[str] = field(factory=list)


def read_foreign(path: Path, name: str | None = None) -> ForeignSettings:
    """The settings in a file: YAML, ``.properties`` or JSON; whose they are is told by their keys.

    Args:
        path: The file.
        name: Which of several: an instance of resilience4j, a section of Polly, a cluster of Envoy.

    Raises:
        ConfigError: It can't be read, or holds no settings that are known.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: it is larger than {_MAX_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    found = [
        (convert, key, section)
        for document in _documents(path, text)
        for convert, known in _KNOWN
        for key, section in _sections(document, known)
    ]
    if name is not None:
        found = [one for one in found if one[1].lower() == name.lower()]
    if not found:
        raise ConfigError(
            f"{path}: there are no settings of resilience4j, Polly or Envoy in it"
            + (f" under {name!r}" if name else "")
        )
    if len(found) > 1:
        names = ", ".join(key for _, key, _ in found)
        raise ConfigError(f"{path}: it has several; choose with {path}#NAME: {names}")
    convert, _, section = found[0]
    try:
        return convert(section)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _documents(path: Path, text: str) -> list[Any]:
    try:
        if path.suffix == ".properties":
            return [_properties(text)]
        if path.suffix == ".json":
            return [json.loads(text)]
        try:
            import yaml
        except ImportError as error:
            raise ConfigError(
                f"{path}: YAML needs pyyaml: pip install 'recloser[traces]'"
            ) from error
        try:
            # That of libyaml is eight times as fast, and in most installations.
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            _refuse_aliases(path, yaml.parse(text, Loader=loader))
            return list(yaml.load_all(text, Loader=loader))  # both are safe
        except yaml.YAMLError as error:
            told = " ".join(str(error).split())
            raise ConfigError(f"{path}: {told}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: {error}") from error


def _refuse_aliases(path: Path, events: Iterable[Any]) -> None:
    """Refuse ``*name``: a few hundred bytes of them can stand for more than any memory holds."""
    for event in events:
        if type(event).__name__ == "AliasEvent":
            line = event.start_mark.line + 1
            raise ConfigError(
                f"{path}, line {line}: the YAML alias *{event.anchor} is not read: write out what "
                f"it stands for"
            )


def _properties(text: str) -> dict[str, Any]:
    """Java properties as nested mappings."""
    root: dict[str, Any] = {}
    for line in map(str.strip, text.splitlines()):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or line[0] in "#!":
            continue
        at = root
        *outer, last = re.split(r"\.", re.sub(r"\[\d+\]$", "", key))
        for part in outer:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise ConfigError(f"{key}: {part} is a value and a group")
        at[last] = value
    return root


def _sections(document: Any, known: frozenset[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The mappings anywhere in a document that have a key which is known, and what names them."""
    pending: list[tuple[str, Any]] = [("", document)]
    seen = 0
    while pending:
        name, value = pending.pop(0)
        seen += 1
        if seen > 100_000:  # noqa: PLR2004  # aliases can make a small file endless
            raise ValueError("it has too many parts")
        if isinstance(value, Mapping):
            if any(_plain(key) in known for key in value):
                yield name, value
                continue
            own = str(value["name"]) if isinstance(value.get("name"), str) else name
            pending += [
                (own if _plain(key) in _WRAPPERS else str(key), inner)
                for key, inner in value.items()
            ]
        elif isinstance(value, list):
            pending += [(name, inner) for inner in value]


def _plain(key: object) -> str:
    """A key without the case and the hyphens that configurations are free in."""
    return re.sub(r"[-_]", "", str(key)).lower()


class _Section:
    """The keys of a section; what is not taken is left out."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._values = {_plain(key): (str(key), value) for key, value in section.items()}

    def take(self, key: str) -> Any:
        return self._values.pop(key, (key, None))[1]

    def rest(self, known: Mapping[str, str]) -> list[str]:
        """What has no counterpart, and what comes nearest to it."""
        return [
            f"{name} does not carry over" + (f": {known[key]}" if key in known else "")
            for key, (name, _) in self._values.items()
        ]


def _resilience4j(data: Mapping[str, Any]) -> ForeignSettings:
    section, left_out = _Section(data), []
    size = int(_or(section.take("slidingwindowsize"), 100))
    kind = str(_or(section.take("slidingwindowtype"), "COUNT_BASED")).upper()
    slow_rate = float(_or(section.take("slowcallratethreshold"), 100)) / 100
    slow_ms = _seconds(section.take("slowcalldurationthreshold"), 60, unit_s=0.001)
    window: dict[str, object] = {
        "seconds" if kind == "TIME_BASED" else "size": size,
        "failure_rate": _whole(float(_or(section.take("failureratethreshold"), 50)) / 100),
        "minimum_calls": int(_or(section.take("minimumnumberofcalls"), 100)),
        "slow_call_rate": _whole(slow_rate),
    }
    settings: dict[str, object] = {
        "failure_threshold": None,
        "window": window,
        "slow_call_seconds": slow_ms,
        "recovery_timeout_seconds": _seconds(
            section.take("waitdurationinopenstate"), 60, unit_s=0.001
        ),
    }
    probes = int(_or(section.take("permittednumberofcallsinhalfopenstate"), 10))
    settings["half_open_window"] = {
        "size": probes,
        "failure_rate": window["failure_rate"],
        "minimum_calls": probes,
        "slow_call_rate": window["slow_call_rate"],
    }
    longest = _seconds(section.take("maxwaitdurationinhalfopenstate"), 0, unit_s=0.001)
    if longest:
        settings["half_open_timeout_seconds"] = longest
    if str(section.take("enableexponentialbackoff")).lower() == "true":
        backoff: dict[str, object] = {
            "factor": _whole(float(_or(section.take("exponentialbackoffmultiplier"), 1.5)))
        }
        most = section.take("exponentialmaxwaitdurationinopenstate")
        if most is not None:
            backoff["max_seconds"] = _seconds(most, 0, unit_s=0.001)
        settings["backoff"] = backoff
    if str(section.take("automatictransitionfromopentohalfopenenabled")).lower() == "true":
        left_out.append(
            "automaticTransitionFromOpenToHalfOpenEnabled: ours probes with the next call"
        )
    left_out += section.rest(
        {
            "recordexceptions": "name Python's exceptions in record",
            "ignoreexceptions": "name Python's exceptions in ignore",
            "recordfailurepredicate": "give a predicate in record",
            "baseconfig": "the settings of the shared configuration are not merged in",
            "enablerandomizedwait": "see the jitter of backoff",
        }
    )
    return ForeignSettings(settings, left_out)


def _polly(data: Mapping[str, Any]) -> ForeignSettings:
    section = _Section(data)
    settings: dict[str, object] = {
        "failure_threshold": None,
        "window": {
            "seconds": max(1, round(_seconds(section.take("samplingduration"), 30))),
            "failure_rate": _whole(float(_or(section.take("failureratio"), 0.1))),
            "minimum_calls": int(_or(section.take("minimumthroughput"), 100)),
        },
        "recovery_timeout_seconds": _seconds(section.take("breakduration"), 5),
        "half_open_success_threshold": 1,
        "half_open_max_probes": 1,
    }
    left_out = ["Polly's sampling window is in parts of a tenth; ours is in whole seconds"]
    return ForeignSettings(
        settings,
        left_out
        + section.rest(
            {
                "breakdurationgenerator": "see backoff",
                "shouldhandle": "name Python's exceptions in record and ignore",
            }
        ),
    )


def _envoy(data: Mapping[str, Any]) -> ForeignSettings:
    section = _Section(data)
    threshold = section.take("consecutive5xx")
    if threshold is None:
        threshold = section.take("consecutive5xxerrors")
    gateway = section.take("consecutivegatewayfailure")
    if gateway is None:
        gateway = section.take("consecutivegatewayerrors")
    base = _seconds(section.take("baseejectiontime"), 30)
    most = _seconds(section.take("maxejectiontime"), 300)
    settings: dict[str, object] = {
        "failure_threshold": int(_or(threshold, _or(gateway, 5))),
        "recovery_timeout_seconds": base,
        "half_open_success_threshold": 0,
    }
    left_out = [
        "an outlier is one host of a cluster, which is ejected; ours is the whole dependency",
        "Envoy's ejection grows by its base with each one; ours stays the same: see backoff",
    ]
    if most < base:
        left_out.append("the longest ejection is shorter than its base, which is kept")
    return ForeignSettings(
        settings,
        left_out
        + section.rest(
            {
                "interval": "ours decides with each call",
                "maxejectionpercent": "there is one dependency to eject",
                "successratestdevfactor": "there are no other hosts to compare with",
            }
        ),
    )


_KNOWN: Final[tuple[tuple[Callable[[Mapping[str, Any]], ForeignSettings], frozenset[str]], ...]] = (
    (
        _resilience4j,
        frozenset(
            ("failureratethreshold", "slidingwindowsize", "waitdurationinopenstate",
             "minimumnumberofcalls", "slidingwindowtype",
             "permittednumberofcallsinhalfopenstate", "slowcallratethreshold")
        ),
    ),
    (_polly, frozenset(("failureratio", "minimumthroughput", "samplingduration", "breakduration"))),
    (
        _envoy,
        frozenset(
            ("consecutive5xx", "consecutive5xxerrors", "consecutivegatewayfailure",
             "consecutivegatewayerrors", "baseejectiontime", "maxejectionpercent")
        ),
    ),
)  # fmt: skip
_WRAPPERS: Final = frozenset(
    ("outlierdetection", "circuitbreaker", "trafficpolicy", "spec", "options")
)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _whole(number: float) -> int | float:
    """A rate as it would be written: 0.5, and 1 rather than 1.0."""
    rounded = round(number, 9)
    return int(rounded) if rounded == int(rounded) else rounded


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: Any, default: float, unit_s: float = 1) -> int | float:
    """Seconds of a number, ``10s``, ``1m30s``, ``PT10S`` or ``00:00:10``."""
    if value is None:
        return default
    if isinstance(value, Mapping) and "seconds" in value:
        return _whole(float(value["seconds"]) + float(value.get("nanos", 0)) * 1e-9)
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _whole(float(text) * unit_s)
    clock = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    if clock:
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return _whole(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    plain = re.sub(r"^p(\d+d)?t?", r"\1", text.lower())
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)", plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain.replace(" ", ""):
        raise ValueError(f"{text!r} is no duration")
    return _whole(sum(float(number) * _UNITS[unit] for number, unit in parts))
