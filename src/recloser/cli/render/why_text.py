"""``recloser why`` as text on a terminal."""

from collections.abc import Sequence
from typing import Final

from recloser.audit.cause import Answer, Cause, EvidenceCall, Standing
from recloser.audit.phrasing import facts, repeat_command, unread_note
from recloser.cli.render.terminal import duration, print_facts, print_table, printable, results
from recloser.core.state_machine import CLOSED

_CALLS_SHOWN: Final = 10


def print_answer(answer: Answer, settings: Sequence[str] = ()) -> None:
    """Print an answer: of each cause its headline, its facts and its evidence."""
    out = results()
    if answer.standing is not None:
        _print_standing(answer.standing)
    elif not answer.causes:
        out.print("no breaker opened")
    for index, cause in enumerate(answer.causes):
        if index or answer.standing is not None:
            out.print()
        print_cause(cause)
        out.print()
        out.print(f"again: {printable(repeat_command(answer, cause, settings))}")
    read = unread_note(answer)
    if read is not None:
        out.print(read)


def print_cause(cause: Cause) -> None:
    """Print why a breaker opened."""
    out = results()
    _print_headline(cause.headline, "bold red")
    out.print()
    print_facts(facts(cause))
    if not cause.evidence:
        return
    out.print()
    shown = list(cause.evidence)
    if len(shown) > 2 * _CALLS_SHOWN:
        shown = [*shown[:_CALLS_SHOWN], *shown[-_CALLS_SHOWN:]]
    # The headline tells the day.
    print_table(
        ("seq", "ended (UTC)", "took", "outcome"),
        (
            (str(call.seq), call.utc.partition("T")[2], duration(call.took_ns), _what(call))
            for call in shown
        ),
        right=("seq", "took"),
        folded=("outcome",),
    )
    if len(shown) < len(cause.evidence):
        left_out = len(cause.evidence) - len(shown)
        out.print(f"… and {left_out:,} between the first and last {_CALLS_SHOWN}; --json has all")


def _what(call: EvidenceCall) -> str:
    ended = "succeeded" if call.outcome == "call_succeeded" else call.error or "failed"
    return " ".join(part for part in (ended, call.route) if part)


def _print_headline(headline: str, style: str) -> None:
    out = results()
    out.print(printable(headline), style=style, soft_wrap=not out.is_terminal)


def _print_standing(standing: Standing) -> None:
    out = results()
    _print_headline(standing.headline, "bold green" if standing.state is CLOSED else "bold red")
    out.print()
    unknown = "before what was read" if standing.epoch else "the beginning"
    since = standing.since_utc or unknown
    by = f", by {standing.since_by.value} at seq {standing.since_seq}" if standing.since_by else ""
    told = [("since", f"{since}{by}"), *(("rule", figure) for figure in standing.figures)]
    if standing.mode != "enforce":
        told.append(("mode", standing.mode))
    if standing.retry_utc is not None:
        told.append(("next probe", standing.retry_utc))
    if standing.reason is not None:
        told.append(("reason", standing.reason))
    print_facts(told)
