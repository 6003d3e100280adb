"""Options that nothing can come of are refused, so that no user takes them to have had an effect."""

from typing import Final

from recloser.errors import ImportTraceError
from recloser.importers.fields import BreakerTemplate
from recloser.importers.outcome_rules import Judge
from recloser.importers.roles import CallMaker, CallOptions

_IN_WORDS: Final = (None, "auto")


def check_options(options: CallOptions, maker: CallMaker, judge: Judge) -> None:
    """Refuse options that cannot apply.

    Args:
        options: What the user says.
        maker: What makes calls by them.
        judge: Says how calls ended, by the user's rules too.

    Raises:
        ImportTraceError: There is one.
    """
    start, end, duration = (maker.roles[name] for name in ("start", "end", "duration"))
    own = judge.own
    if not judge.rules and (own.failed or own.succeeded or own.ignored):
        raise ImportTraceError(
            "nothing says how calls ended, so no value can be named: name the field with "
            "--outcome FIELD"
        )
    if options.slow_ns is not None and not duration and not (start and end):
        raise ImportTraceError(
            "how long calls took is not known, so none is slow: name the field with --duration, or "
            "leave --slow out"
        )
    times = [*start, *end]
    if options.zone is not None and all(role.unit not in _IN_WORDS for role in times):
        named = ", ".join(map(str, times))
        raise ImportTraceError(f"--zone is for times in words; {named} counts since 1970 in UTC")
    if options.is_grouped and not BreakerTemplate(maker.template).fields:
        raise ImportTraceError("--group is for fields in --breaker, and there is none in it")
