"""Formats as data: what the files in ``importers/formats`` say of each.

A format's file has these keys; a format that names another one with ``like`` takes from it what it
does not say itself.

* ``title``: what it is, for people.
* ``source``: where its definition can be read.
* ``like``: another format.
* ``sample``: lines of it, which a test reads.
* ``[records]``: ``kind`` is ``text``, ``json``, ``delimited``, ``w3c``, ``spans`` or
  ``resilience4j``. For text: ``language``, ``formats``
  (its format strings, pasted), ``lists`` (fields that hold several values) and ``open`` (a line may be
  cut in its last field, or go on). For JSON: ``keys``, which all objects of the format have, and
  ``path``, where the array of its records stands in a document, as ``log.entries``. For delimited
  text: ``delimiter``, ``header``, ``keys``, columns that it has, and ``more`` (rows may have further
  values, which have no names). For ``w3c``: ``header``, the columns of files that do not name them,
  ``keys``, and ``says``, a comment that is as good as the keys. For ``spans``: ``shape``, that of its
  documents. For all: ``looks``, an expression that finds each line, ``comment``, what lines begin
  with that are no records, and ``mixed`` (records that do not say how a call ended are about
  something else).
* ``[where]``: which records are calls: see ``recloser.importers.selection``.
* ``[attempts]``: fields with a value for each attempt: see ``recloser.importers.attempts``.
* ``[fields]``: further fields, made of others: see ``recloser.importers.derived``.
* ``[roles]``: ``start``, ``end`` and ``duration``, each a field or a list of which the first that a
  record has is used, with its unit as in ``request_time:s``; ``breaker``, a template; ``error``, a
  field that names a failure.
* ``[[outcome]]``: the rules, in their order: see ``recloser.importers.outcome_rules``. What is common to
  many formats is in ``meanings.toml``, from which ``means`` takes one or several.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

from attrs import field, frozen

from recloser.errors import ImportTraceError
from recloser.importers.attempts import Attempts
from recloser.importers.outcome_rules import OutcomeRule
from recloser.importers.quantities import unit_in_name

_FORMATS: Final = "recloser.importers.formats"


@frozen
class Role:
    """A field that has a role, and its unit.

    Attributes:
        field: Its name.
        unit: Its unit; ``auto`` to tell it by magnitude, None where values have their own.
    """

    field: str
    unit: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Role":
        """Of ``FIELD`` or ``FIELD:UNIT``; without one, the unit is that at the end of the name."""
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
class Description:
    """A format.

    Attributes:
        name: What ``--format`` calls it.
        title: What it is, for people.
        source: Where its definition can be read.
        sample: Lines of it.
        records: The kind and the parameters of its reader.
        fields: Further fields, made of others.
        start: What says when a call started, the best first.
        end: What says when it ended.
        duration: What says how long it took.
        breaker: The template of its breaker's name; None where the user must give one.
        error: The field that names a failure; None for the values by which it was told.
        where: Which records are calls: the values that fields of theirs have.
        attempts: The fields that have a value for each attempt.
        outcome: The rules for its outcome, in their order.
        is_abstract: Whether it is there for others to be like only.
    """

    name: str
    title: str
    source: str = ""
    sample: str = ""
    records: Mapping[str, Any] = field(factory=dict)
    fields: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    start: Sequence[Role] = ()
    end: Sequence[Role] = ()
    duration: Sequence[Role] = ()
    breaker: str | None = None
    error: str | None = None
    where: Mapping[str, Sequence[str]] = field(factory=dict)
    attempts: Attempts | None = None
    outcome: Sequence[OutcomeRule] = ()
    is_abstract: bool = False


def description_of(name: str) -> Description:
    """The format of a name.

    Raises:
        ImportTraceError: There is none.
    """
    found = {description.name: description for description in descriptions()}
    if name not in found:
        listed = ", ".join(name for name, each in found.items() if not each.is_abstract)
        raise ImportTraceError(f"there is no format {name!r}; there are {listed}")
    return found[name]


@cache
def descriptions() -> Sequence[Description]:
    """All formats, in the order of their names."""
    tables = dict(sorted(_tables()))
    return [_description(name, _complete(name, tables)) for name in tables]


def known_paths() -> Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """The keys that lead to the records in documents of some formats, and what all records have."""
    return [
        (records["path"].split("."), [key.split(".") for key in records.get("keys", ())])
        for records in (description.records for description in descriptions())
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


def _description(name: str, table: Mapping[str, Any]) -> Description:
    roles = table.get("roles", {})
    return Description(
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
        attempts=Attempts(**table["attempts"]) if table.get("attempts") else None,
        outcome=[_rule(rule) for rule in table.get("outcome", ())],
        is_abstract=table.get("abstract", False),
    )


def _rule(table: Mapping[str, Any]) -> OutcomeRule:
    """A rule, with the values of the meanings that it names after its own."""
    rule = dict(table)
    means = rule.pop("means", ())
    for meaning in [means] if isinstance(means, str) else means:
        for verdict, values in _meanings()[meaning].items():
            rule[verdict] = [*rule.get(verdict, ()), *values]
    return OutcomeRule(**rule)


@cache
def _meanings() -> Mapping[str, Mapping[str, Sequence[str]]]:
    file = resources.files("recloser.importers").joinpath("meanings.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _roles(texts: str | Sequence[str] | None) -> list[Role]:
    if texts is None:
        return []
    return [Role.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]
