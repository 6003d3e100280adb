"""The options of ``recloser import``, as one object."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules


@frozen(kw_only=True)
class ImportRequest:
    """An import as the user asks for it; what is None is detected.

    Attributes:
        format: The name of the format.
        among: The names of the formats to detect; empty for all.
        log_format: The format string of nginx, Apache, Envoy or HAProxy that wrote the lines.
        regex: A regular expression whose named groups are the fields of a line.
        unwrap: The names of the wrappers to remove from lines; empty for none.
        records: The path to the array of records in a JSON document.
        header: The names of the columns of delimited text that has no header.
        where: A JMESPath expression; only records for which it is true become calls.
        outcome: The field that says how a call ended; None for the fields of the format.
        user_rules: The user's outcome rules.
        options: The fields and settings that override those of the format.
        fields: By the name of a field of the format, the field of the records to use instead.
        producers: Whether a sent message counts as a call too, in traces of spans.
    """

    format: str | None = None
    among: Sequence[str] = ()
    log_format: str | None = None
    regex: str | None = None
    unwrap: Sequence[str] | None = None
    records: str | None = None
    header: Sequence[str] | None = None
    where: str | None = None
    outcome: str | None = None
    user_rules: UserRules = field(factory=UserRules)
    options: CallOptions = field(factory=CallOptions)
    fields: Mapping[str, str] = field(factory=dict)
    producers: bool = False
