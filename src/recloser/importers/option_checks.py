"""Refusal of options that cannot apply.

Otherwise users would believe that the options had an effect.
"""

from typing import Final

from recloser.errors import ImportTraceError
from recloser.importers.mapping.breaker_template import BreakerTemplate
from recloser.importers.mapping.call_mapper import CallMapper
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_classifier import OutcomeClassifier

_DATE_UNITS: Final = (None, "auto")
"""The units of fields whose values may be dates, which have a zone."""


def check_options(options: CallOptions, mapper: CallMapper, classifier: OutcomeClassifier) -> None:
    """Refuse options that cannot apply.

    Args:
        options: What the user says.
        mapper: The mapping that the options result in.
        classifier: The outcome rules, with those of the user.

    Raises:
        ImportTraceError: An option cannot apply.
    """
    start, end, duration = (mapper.roles[name] for name in ("start", "end", "duration"))
    rules = classifier.user_rules
    if not classifier.rules and (rules.failed or rules.succeeded or rules.ignored):
        raise ImportTraceError(
            "--failure, --success and --ignore need a field that says how calls ended: name it with "
            "--outcome FIELD"
        )
    if options.slow_ns is not None and not duration and not (start and end):
        raise ImportTraceError(
            "--slow needs the duration of calls, which is not known: name its field with --duration, "
            "or leave --slow out"
        )
    times = [*start, *end]
    if options.zone is not None and all(each.unit not in _DATE_UNITS for each in times):
        named = ", ".join(map(str, times))
        raise ImportTraceError(
            f"--zone is for times written as dates, and {named} counts from 1970 in UTC; leave it out"
        )
    if options.is_grouped and not BreakerTemplate(mapper.template).fields:
        raise ImportTraceError(
            "--group is for fields in --breaker, which has none; write --breaker '{field}' or leave "
            "--group out"
        )
