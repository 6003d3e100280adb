"""Fields and settings that the user gives in place of those of the format."""

from collections.abc import Sequence
from datetime import tzinfo

from attrs import frozen

from recloser.importers.formats.format_description import TimeField
from recloser.importers.values.written_times import DateOrder


@frozen(kw_only=True)
class CallOptions:
    """Fields and settings that the user gives; each overrides what the format says.

    Attributes:
        breaker: The template of a breaker's name, such as ``{caller}->{target}``.
        start: The field with the time at which a call started.
        end: The field with the time at which a call ended.
        duration: The field with the duration of a call.
        error: The field that names a failure; None for the values that made it a failure.
        labels: The fields to keep as labels of each call.
        slow_ns: A success that took longer, in nanoseconds, counts as failed; None for no limit.
        zone: The time zone of times that name none; None to refuse such times.
        is_grouped: Whether ids in paths are replaced in a breaker's name, as ``/users/{id}``.
        decimal: The decimal mark of numbers, ``.`` or ``,``. With ``?`` either is possible and an
            ambiguous number such as ``1,234`` is refused. None to detect the mark.
        dates: The order of day and month in dates such as ``03/04/2021``; None to refuse
            ambiguous dates.
    """

    breaker: str | None = None
    start: TimeField | None = None
    end: TimeField | None = None
    duration: TimeField | None = None
    error: str | None = None
    labels: Sequence[str] = ()
    slow_ns: int | None = None
    zone: tzinfo | None = None
    is_grouped: bool = False
    decimal: str | None = None
    dates: DateOrder | None = None
