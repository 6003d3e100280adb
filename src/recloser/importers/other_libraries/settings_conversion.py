"""Settings of resilience4j, Polly and Envoy, converted to recloser's."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen


@frozen
class ForeignSettings:
    """Settings of another library, converted.

    Attributes:
        settings: The settings for ``CircuitBreakerConfig.from_mapping``.
        left_out: The settings that are not converted, or not exactly, one line of text each.
    """

    settings: dict[str, object]
    left_out: list[str] = field(factory=list)


def plain_key(key: object) -> str:
    """Return a key in lower case, without hyphens and underscores."""
    return re.sub(r"[-_]", "", str(key)).lower()


class _Section:
    """The keys of a section; those that are not taken are left out."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._values = {plain_key(key): (str(key), value) for key, value in section.items()}

    def take(self, key: str) -> Any:
        return self._values.pop(key, (key, None))[1]

    def rest(self, known: Mapping[str, str]) -> list[str]:
        """Return a line of text for each key that was not converted."""
        return [
            f"{name} is not converted" + (f": {known[key]}" if key in known else "")
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
            "automaticTransitionFromOpenToHalfOpenEnabled: recloser becomes half-open with the next call"
        )
    left_out += section.rest(
        {
            "recordexceptions": "name the Python exceptions in record",
            "ignoreexceptions": "name the Python exceptions in ignore",
            "recordfailurepredicate": "give a predicate in record",
            "baseconfig": "copy the settings of the shared configuration",
            "enablerandomizedwait": "use the jitter of backoff",
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
    left_out = [
        "samplingDuration: Polly's window moves by tenths of its length, recloser's by whole seconds"
    ]
    return ForeignSettings(
        settings,
        left_out
        + section.rest(
            {
                "breakdurationgenerator": "use backoff",
                "shouldhandle": "name the Python exceptions in record and ignore",
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
        "Envoy ejects one host of a cluster; a recloser breaker opens for the whole dependency",
        "Envoy's ejection grows by its base each time; recloser's cooldown stays the same without backoff",
    ]
    if most < base:
        left_out.append("maxEjectionTime is shorter than baseEjectionTime, which is used")
    return ForeignSettings(
        settings,
        left_out
        + section.rest(
            {
                "interval": "recloser decides with each call",
                "maxejectionpercent": "a breaker has one dependency",
                "successratestdevfactor": "a breaker has no other hosts to compare with",
            }
        ),
    )


CONVERTERS: Final[tuple[tuple[Callable[[Mapping[str, Any]], ForeignSettings], frozenset[str]], ...]] = (
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
CONTAINER_KEYS: Final = frozenset(
    ("outlierdetection", "circuitbreaker", "trafficpolicy", "spec", "options")
)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _whole(number: float) -> int | float:
    """Return a rate as people write it: 0.5, but 1 rather than 1.0."""
    rounded = round(number, 9)
    return int(rounded) if rounded == int(rounded) else rounded


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: Any, default: float, unit_s: float = 1) -> int | float:
    """Parse a duration in seconds.

    It may be a number, ``10s``, ``1m30s``, ``PT10S`` or ``00:00:10``.
    """
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
        raise ValueError(f"{text!r} is not a duration")
    return _whole(sum(float(number) * _UNITS[unit] for number, unit in parts))
