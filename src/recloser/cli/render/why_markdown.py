"""The answer of ``recloser why`` as Markdown, to paste into an incident document."""

import re
from collections.abc import Sequence
from typing import Final

from recloser.audit.cause import Answer, Cause, Standing
from recloser.audit.phrasing import facts, repeat_command, unread_note
from recloser.core.formatting import duration, printable

# Characters that begin markup, a mention, a link or an emoji. An underscore or colon inside a word
# begins none.
_ACTIVE: Final = re.compile(
    r"[\\`*\[\]#|~<>&$@]|(?<!\w)_|_(?!\w)|:(?=[A-Za-z+/])|(?<=\bwww)\.", re.ASCII
)


def escaped(text: str) -> str:
    """Escape text so that a Markdown renderer shows it unchanged, as plain text."""
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", printable(text))


def markdown(answer: Answer, settings: Sequence[str] = ()) -> str:
    """Format an answer: for each cause a heading, a table of facts and a table of the evidence.

    Args:
        answer: The answer.
        settings: The ``--config`` and ``--set`` options to repeat in the command under each cause.
    """
    parts: list[str] = []
    if answer.standing is not None:
        parts += _standing(answer.standing)
    elif not answer.causes:
        parts.append("No breaker opened.\n")
    for cause in answer.causes:
        parts += _cause(cause)
        parts += ["Again:\n", f"    {printable(repeat_command(answer, cause, settings))}\n"]
    read = unread_note(answer)
    if read is not None:
        parts.append(f"{escaped(read)}\n")
    return "\n".join(parts)


def _cause(cause: Cause) -> list[str]:
    parts = [f"### {escaped(cause.headline)}\n", _table(("what", "figures"), facts(cause))]
    if cause.evidence:
        rows = [
            (str(c.seq), c.utc, duration(c.took_ns), c.outcome, c.error or "", c.route or "")
            for c in cause.evidence
        ]
        parts.append(_table(("seq", "ended (UTC)", "took", "outcome", "error", "route"), rows))
    return parts


def _standing(standing: Standing) -> list[str]:
    rows = [("rule", figure) for figure in standing.figures]
    if standing.since_utc is not None:
        rows.insert(0, ("since", standing.since_utc))
    return [f"### {escaped(standing.headline)}\n", _table(("what", "figures"), rows)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings)]
    lines += [[escaped(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
