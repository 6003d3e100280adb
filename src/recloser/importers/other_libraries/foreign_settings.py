"""Files with settings of resilience4j, Polly and Envoy."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from recloser.errors import ConfigError
from recloser.importers.other_libraries.settings_conversion import (
    CONTAINER_KEYS,
    CONVERTERS,
    ForeignSettings,
    plain_key,
)

_MAX_BYTES: Final = 1 << 18


def read_foreign(path: Path, name: str | None = None) -> ForeignSettings:
    """Read the settings of another library; the keys show which library they are for.

    Args:
        path: A file of YAML, JSON or ``.properties``.
        name: The name of the settings if there are several: an instance of resilience4j, a section of
            Polly, a cluster of Envoy.

    Raises:
        ConfigError: The file cannot be read, or has no settings of a known library.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(
                f"{path}: it is larger than {_MAX_BYTES:,} bytes; keep only the section of the circuit breaker"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    found = [
        (convert, key, section)
        for document in _documents(path, text)
        for convert, known in CONVERTERS
        for key, section in _sections(document, known)
    ]
    if name is not None:
        found = [one for one in found if one[1].lower() == name.lower()]
    if not found:
        raise ConfigError(
            f"{path}: it has no settings of resilience4j, Polly or Envoy"
            + (f" under {name!r}" if name else "")
        )
    if len(found) > 1:
        names = ", ".join(key for _, key, _ in found)
        raise ConfigError(f"{path}: it has several settings; choose one with {path}#NAME: {names}")
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
            # The loader of libyaml is eight times as fast, and most installations have it.
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            _refuse_aliases(path, yaml.parse(text, Loader=loader))
            return list(yaml.load_all(text, Loader=loader))  # both loaders are safe
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path}: {reason}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: {error}") from error


def _refuse_aliases(path: Path, events: Iterable[Any]) -> None:
    """Refuse aliases, ``*name``, in YAML.

    A few hundred bytes of them can stand for more than memory holds.
    """
    for event in events:
        if type(event).__name__ == "AliasEvent":
            line = event.start_mark.line + 1
            raise ConfigError(
                f"{path}, line {line}: the YAML alias *{event.anchor} is not supported: write out "
                f"what it stands for"
            )


def _properties(text: str) -> dict[str, Any]:
    """Return Java properties as nested mappings."""
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
                raise ConfigError(f"{key}: {part} is a value and a group of values; remove one")
        at[last] = value
    return root


def _sections(document: Any, known: frozenset[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings in a document that hold settings.

    They are those with a known key; each has a name.
    """
    pending: list[tuple[str, Any]] = [("", document)]
    seen = 0
    while pending:
        name, value = pending.pop(0)
        seen += 1
        if seen > 100_000:  # noqa: PLR2004  # a bound on the time that a file takes
            raise ValueError(
                "it has more than 100,000 parts; keep only the section of the circuit breaker"
            )
        if isinstance(value, Mapping):
            if any(plain_key(key) in known for key in value):
                yield name, value
                continue
            own = str(value["name"]) if isinstance(value.get("name"), str) else name
            pending += [
                (own if plain_key(key) in CONTAINER_KEYS else str(key), inner)
                for key, inner in value.items()
            ]
        elif isinstance(value, list):
            pending += [(name, inner) for inner in value]
