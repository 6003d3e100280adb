"""The limits of a log add up: lines of accepted values keep within what a reader takes."""

from datetime import UTC, datetime

import pytest

from recloser.core.checkpoint_parts import pieces_of
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    CallFailed,
    CallObserved,
    Checkpoint,
    CircuitBreakerState,
    FiredRule,
    LogGap,
    LogOpened,
    ModeChanged,
    Outcome,
    Rule,
    StateChanged,
    Trigger,
)
from recloser.core.limits import (
    LABEL_BYTES,
    LABEL_CHARS,
    LABELS,
    MAX_AT,
    MAX_COUNT,
    MAX_LINE_BYTES,
    MAX_SEQ,
    MAX_SEQS,
    MAX_SETTING,
    MAX_WHOLE,
    NAME_BYTES,
    ROWS_IN_LINE,
    SETTINGS_BYTES,
    USUAL_LINE_BYTES,
    label,
    wire_bytes,
)
from recloser.core.state import BreakerState, dump
from recloser.core.validation import MAX_SECONDS, NS_PER_SECOND
from recloser.log.codec import encode

NAME = "\x01" * (NAME_BYTES // 6)
LABEL = label("\x01" * 2000)
SEQ = 10**12
"""No session can write that many events."""

COMMAND = FiredRule(Rule.COMMAND, actor=LABEL, reason=LABEL)
LONG_RUN = FiredRule(Rule.CONSECUTIVE_FAILURES, MAX_SEQS, MAX_SEQS, seqs=(SEQ,) * MAX_SEQS)
WALL = datetime(2026, 1, 1, 0, 0, 0, 999_999, UTC)


def edge(cause):
    to = CircuitBreakerState.HALF_OPEN, CircuitBreakerState.OPEN
    return StateChanged(SEQ, MAX_AT, NAME, MAX_COUNT, *to, Trigger.FORCE_OPEN, cause)


@pytest.mark.parametrize(
    "event",
    [
        LogOpened(SEQ, MAX_AT, 2, 1, MAX_COUNT, WALL, MAX_WHOLE, LABEL, LABEL, 9, "1.0"),
        CallFailed(SEQ, MAX_AT, NAME, MAX_COUNT, MAX_WHOLE, MAX_COUNT, LABEL),
        ModeChanged(SEQ, MAX_AT, NAME, "disabled", LABEL, LABEL),
        LogGap(SEQ, MAX_AT, MAX_WHOLE, LABEL),
        edge(COMMAND),
        edge(LONG_RUN),
    ],
    ids=lambda event: event.kind,
)
def test_the_longest_line_of_an_event_is_a_usual_one(event):
    assert len(encode(event)) < USUAL_LINE_BYTES


@pytest.mark.parametrize("cause", [COMMAND, LONG_RUN], ids=["command", "run"])
@pytest.mark.parametrize("rows", [ROWS_IN_LINE, 100_000])
def test_the_longest_lines_of_a_checkpoint_are_usual_ones(cause, rows):
    fields = {"seqs": cause.seqs, "actor": cause.actor, "reason": cause.reason}
    state = {
        **dump(BreakerState(NAME, CircuitBreakerConfig())),
        "why_open": {"rule": "command", **fields},
        "probe_seqs": [SEQ] * rows,
    }
    for piece in pieces_of(state):
        assert len(encode(Checkpoint(SEQ, MAX_AT, NAME, *piece))) < USUAL_LINE_BYTES


def test_largest_settings_fit_into_a_line():
    assert SETTINGS_BYTES + USUAL_LINE_BYTES < MAX_LINE_BYTES


def test_an_imported_call_with_the_longest_labels_fits_into_a_line():
    labels = {LABEL[:-2] + f"{number:02d}": LABEL for number in range(LABELS)}
    event = CallObserved(SEQ, MAX_AT, NAME, 0, MAX_AT, Outcome.FAILED, LABEL, labels)
    assert len(encode(event)) < MAX_LINE_BYTES


def test_no_session_reaches_the_last_seq():
    assert MAX_AT + MAX_SECONDS * NS_PER_SECOND <= MAX_WHOLE
    assert MAX_SEQ << 2 | 3 < 1 << 62, "bit 62 marks how many outcomes have the code that follows"


def test_settings_keep_what_the_rules_compare_within_64_bits():
    """Calls of a window times a term of a rate, and the end of a wait that begins at the last time."""
    assert MAX_SETTING * MAX_SETTING <= MAX_WHOLE
    assert MAX_SETTING * NS_PER_SECOND < 2**61
    assert MAX_SECONDS * NS_PER_SECOND < 2**61
    assert MAX_AT + 2**61 <= MAX_WHOLE


@pytest.mark.parametrize("character", ["x", "\x01", "é", "\U0001f600", "\\", "\ud800", "\u2028"])
def test_a_label_is_cut_to_its_characters_and_to_its_bytes_in_a_line(character):
    cut = label(character * 100_000)
    assert len(cut) <= LABEL_CHARS or "\\ud800" in cut
    assert LABEL_BYTES // 8 < wire_bytes(cut) <= LABEL_BYTES


def test_a_short_label_stays_as_it_is():
    assert label("TimeoutError") == "TimeoutError"
    assert label("é" * 300) == "é" * 300


def test_a_label_of_a_subclass_of_str_is_an_exact_str():
    class Markup(str):
        __slots__ = ()

    assert type(label(Markup("x"))) is str
    assert type(label(Markup("é"))) is str


def test_label_escapes_characters_that_utf_8_cannot_encode():
    assert label("a\udcff") == "a\\udcff"
