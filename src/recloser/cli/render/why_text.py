"""The answer of ``recloser why`` as text on a terminal."""

from collections.abc import Sequence
from typing import Final

from recloser.audit.cause import Answer, Cause, EvidenceCall, Standing
from recloser.audit.phrasing import facts, repeat_command, unread_note
from recloser.cli.render.terminal import print_facts, print_table, results
from recloser.core.formatting import duration, printable
from recloser.core.state_machine import CLOSED

_CALLS_SHOWN: Final = 10  # the first and the last


def print_answer(answer: Answer, settings: Sequence[str] = ()) -> None:
    """Print the headline, the facts and the evidence of every cause in an answer.

    Args:
        answer: The answer.
        settings: The ``--config`` and ``--set`` options to repeat in the command under each cause.
    """
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
    """Print why a breaker opened: the headline, the facts and the calls that are the evidence."""
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
    # Only the time of day: the headline has the date.
    print_table(
        ("seq", "ended (UTC)", "took", "outcome"),
        (
            (str(call.seq), call.utc.partition("T")[2], duration(call.took_ns), _outcome(call))
            for call in shown
        ),
        right=("seq", "took"),
        folded=("outcome",),
    )
    if len(shown) < len(cause.evidence):
        left_out = len(cause.evidence) - len(shown)
        out.print(f"… and {left_out:,} between the first and last {_CALLS_SHOWN}; --json has all")


def _outcome(call: EvidenceCall) -> str:
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
    rows = [("since", f"{since}{by}"), *(("rule", figure) for figure in standing.figures)]
    if standing.mode != "enforce":
        rows.append(("mode", standing.mode))
    if standing.retry_utc is not None:
        rows.append(("next probe", standing.retry_utc))
    if standing.reason is not None:
        rows.append(("reason", standing.reason))
    print_facts(rows)
