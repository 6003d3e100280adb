"""Format descriptions, loaded from the TOML files of this folder.

``importers/README.md`` explains each key of a file, under "Add a format".
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

from attrs import field, frozen

from recloser.errors import ImportTraceError
from recloser.importers.outcomes.outcome_rules import OutcomeRule
from recloser.importers.values.quantities import unit_in_name

_FORMATS: Final = "recloser.importers.formats"


@frozen
class TimeField:
    """A field that holds a time or a duration, and its unit.

    Attributes:
        field: The name of the field.
        unit: The unit; ``auto`` to detect it by the size of the numbers, None if values have their own.
    """

    field: str
    unit: str | None = None

    @classmethod
    def parse(cls, text: str) -> "TimeField":
        """Parse ``FIELD`` or ``FIELD:UNIT``.

        The default unit is the end of the field's name, as in ``took_ms``.
        """
        name, colon, unit = text.rpartition(":")
        if colon and name and unit.isalpha():
            return cls(name, unit)
        return cls(text, unit_in_name(text))

    def __str__(self) -> str:
        return (
            self.field
            if self.unit in (None, unit_in_name(self.field))
            else f"{self.field}:{self.unit}"
        )


@frozen(kw_only=True)
class AttemptFields:
    """Fields that hold one value per attempt at a request, such as ``502, 200``.

    Attributes:
        status: The field with the status of each attempt.
        duration: The field with the duration of each attempt.
        unit: The unit of ``duration``, such as ``s``.
        overall: The field with the status of the request as a whole. Attempts before the last get
            their own status in it.
        also: Other fields with one value per attempt.
    """

    status: str
    duration: str
    unit: str
    overall: str
    also: Sequence[str] = ()


@frozen(kw_only=True)
class FormatDescription:
    """Description of a format, as its TOML file has it.

    Attributes:
        name: Its name for ``--format``.
        title: What it is, for the user.
        source: The URL of its definition.
        sample: Some lines of it.
        records: The kind of its reader, and the reader's parameters.
        fields: Definitions of fields that are made from others.
        start: The fields that may hold the start of a call, in order of preference.
        end: The fields that may hold the end of a call.
        duration: The fields that may hold the duration of a call.
        breaker: The template of a breaker's name; None if the user must give one.
        error: The field that names a failure; None for the values that made it a failure.
        where: Which records are calls, as values by the names of fields.
        attempts: The fields with one value per attempt; None if the format has none.
        outcome: The outcome rules, in their order.
        is_abstract: Whether it is only a part of other formats.
    """

    name: str
    title: str
    source: str = ""
    sample: str = ""
    records: Mapping[str, Any] = field(factory=dict)
    fields: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    start: Sequence[TimeField] = ()
    end: Sequence[TimeField] = ()
    duration: Sequence[TimeField] = ()
    breaker: str | None = None
    error: str | None = None
    where: Mapping[str, Sequence[str]] = field(factory=dict)
    attempts: AttemptFields | None = None
    outcome: Sequence[OutcomeRule] = ()
    is_abstract: bool = False


def format_named(name: str) -> FormatDescription:
    """Return the format with the given name.

    Raises:
        ImportTraceError: There is no such format.
    """
    found = {description.name: description for description in all_formats()}
    if name not in found:
        listed = ", ".join(name for name, each in found.items() if not each.is_abstract)
        raise ImportTraceError(f"there is no format {name!r}; the formats are {listed}")
    return found[name]


@cache
def all_formats() -> Sequence[FormatDescription]:
    """Return all formats, in the order of their names."""
    tables = dict(sorted(_tables()))
    return [parse_description(name, _complete(name, tables)) for name in tables]


def record_paths() -> Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """Return where documents of the formats hold their records.

    Returns:
        The path to each array of records, and the paths that every record in it has.
    """
    return [
        (records["path"].split("."), [key.split(".") for key in records.get("keys", ())])
        for records in (description.records for description in all_formats())
        if "path" in records
    ]


def _tables() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in resources.files(_FORMATS).iterdir():
        if file.name.endswith(".toml"):
            yield file.name.removesuffix(".toml"), tomllib.loads(file.read_text(encoding="utf-8"))


def _complete(name: str, tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    table = tables[name]
    if "like" not in table:
        return table
    inherited = {
        key: value
        for key, value in _complete(table["like"], tables).items()
        if key not in ("abstract", "sample")
    }
    merged = inherited | table
    for key in ("records", "fields", "roles"):
        merged[key] = {**inherited.get(key, {}), **table.get(key, {})}
    return merged


def parse_description(name: str, table: Mapping[str, Any]) -> FormatDescription:
    """Make the description of a format from the table of its file, without ``like``."""
    roles = table.get("roles", {})
    return FormatDescription(
        name=name,
        title=table["title"],
        source=table.get("source", ""),
        sample=table.get("sample", ""),
        records=table.get("records", {}),
        fields=table.get("fields", {}),
        start=_roles(roles.get("start")),
        end=_roles(roles.get("end")),
        duration=_roles(roles.get("duration")),
        breaker=roles.get("breaker"),
        error=roles.get("error"),
        where=table.get("where", {}),
        attempts=AttemptFields(**table["attempts"]) if table.get("attempts") else None,
        outcome=[_rule(rule) for rule in table.get("outcome", ())],
        is_abstract=table.get("abstract", False),
    )


def _rule(table: Mapping[str, Any]) -> OutcomeRule:
    """Make an outcome rule.

    The meanings that ``means`` names add their values to those of the rule.
    """
    rule = dict(table)
    means = rule.pop("means", ())
    for meaning in [means] if isinstance(means, str) else means:
        for verdict, values in _meanings()[meaning].items():
            rule[verdict] = [*rule.get(verdict, ()), *values]
    return OutcomeRule(**rule)


@cache
def _meanings() -> Mapping[str, Mapping[str, Sequence[str]]]:
    file = resources.files("recloser.importers.outcomes").joinpath("meanings.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _roles(texts: str | Sequence[str] | None) -> list[TimeField]:
    if texts is None:
        return []
    return [TimeField.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]
