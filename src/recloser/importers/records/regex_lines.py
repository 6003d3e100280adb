"""Records of text by a user's regular expression; its named groups are fields.

Some expressions take practically forever for some lines. Such a search is stopped by a timer: the
regex engine checks for signals as it runs, and a timer of processor time sends one.
"""

import importlib
import re
import signal
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import LineBatch, RecordBatch, Unreadable
from recloser.importers.records.record_reader import TOO_LONG

SECONDS: Final = 2.0
"""How much processor time the lines of a batch may take, in seconds."""

_SHOWN_CHARS: Final = 60


class RegexReader:
    """Reads lines by a regular expression that is searched for in each.

    Args:
        pattern: The expression.

    Raises:
        ImportTraceError: It is not a regular expression, has no named group, or cannot be stopped here.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern: Any = re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ImportTraceError(f"--regex is not a regular expression: {error}") from error
        if not self._pattern.groupindex:
            raise ImportTraceError(
                "--regex has no named group, so there is no field; add one such as (?P<status>[0-9]+)"
            )
        self._has_timer = hasattr(signal, "setitimer") and (
            threading.current_thread() is threading.main_thread()
        )
        if not self._has_timer:
            self._pattern = _linear(pattern)

    @property
    def fields(self) -> Collection[str]:
        """The named groups of the regular expression."""
        return list(self._pattern.groupindex)

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields.

        Raises:
            ImportTraceError: The regular expression takes too long.
        """
        names = list(wanted)
        for batch in batches:
            lines: list[int] = []
            rows: list[Sequence[Any]] = []
            unreadable: list[Unreadable] = []
            for number, found in enumerate(self._found(batch), batch.first):
                text = batch.texts[number - batch.first]
                if found is not None:
                    lines.append(number)
                    rows.append([found[name] for name in names])
                elif text != "":
                    why = (
                        TOO_LONG
                        if text is None
                        else f"--regex does not match: {text[:_SHOWN_CHARS]}"
                    )
                    unreadable.append(Unreadable(number, why, batch.source))
            columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
            yield RecordBatch(batch.source, lines, columns or dict.fromkeys(names, ()), unreadable)

    def _found(self, batch: LineBatch) -> list[Any]:
        search = self._pattern.search
        found: list[Any] = []
        try:
            with _stopped_after(SECONDS if self._has_timer else None):
                for text in batch.texts:
                    found.append(search(text) if text else None)  # noqa: PERF401  # keeps what was found before the timer
        except _TooSlowError:
            number = batch.first + len(found)
            raise ImportTraceError(
                f"--regex takes more than {SECONDS:g} s for {batch.source}, up to line {number}: "
                "write it so that no text can be matched in many ways, as with [^ ]* instead of .*"
            ) from None
        return found


class _TooSlowError(Exception):
    """The processor time for a batch is used up."""


@contextmanager
def _stopped_after(seconds: float | None) -> Iterator[None]:
    """Stop the body after some seconds of processor time; never if that is None."""
    if seconds is None:
        yield
        return
    is_over = False

    def stop(*_: object) -> None:
        if not is_over:
            raise _TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    timer = signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
        signal.signal(signal.SIGVTALRM, before)


def _linear(pattern: str) -> Any:
    """Compile a regular expression with google-re2, which needs no timer."""
    try:
        re2: Any = importlib.import_module("re2")
    except ImportError as error:
        raise ImportTraceError(
            "--regex can be stopped only on the main thread, and not on Windows; elsewhere it needs "
            "google-re2: pip install google-re2"
        ) from error
    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise ImportTraceError(f"google-re2 does not support --regex: {error}") from error
