"""``recloser why`` as Markdown, to be pasted into an incident document."""

import re
from collections.abc import Sequence
from typing import Final

from recloser.audit.cause import Answer, Cause, Standing
from recloser.audit.phrasing import facts, repeat_command, unread_note
from recloser.cli.render.terminal import duration, printable

# What begins markup, a mention, a link or an emoji; an underscore or colon within a word does not.
_ACTIVE: Final = re.compile(
    r"[\\`*\[\]#|~<>&$@]|(?<!\w)_|_(?!\w)|:(?=[A-Za-z+/])|(?<=\bwww)\.", re.ASCII
)


def escaped(text: str) -> str:
    """The text so that no renderer of Markdown takes any of it for more than text."""
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", printable(text))


def markdown(answer: Answer, settings: Sequence[str] = ()) -> str:
    """An answer as Markdown: a heading, a table of facts and one of evidence for each cause."""
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
    told = [f"### {escaped(cause.headline)}\n", _table(("what", "figures"), facts(cause))]
    if cause.evidence:
        rows = [
            (str(c.seq), c.utc, duration(c.took_ns), c.outcome, c.error or "", c.route or "")
            for c in cause.evidence
        ]
        told.append(_table(("seq", "ended (UTC)", "took", "outcome", "error", "route"), rows))
    return told


def _standing(standing: Standing) -> list[str]:
    rows = [("rule", figure) for figure in standing.figures]
    if standing.since_utc is not None:
        rows.insert(0, ("since", standing.since_utc))
    return [f"### {escaped(standing.headline)}\n", _table(("what", "figures"), rows)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings)]
    lines += [[escaped(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
