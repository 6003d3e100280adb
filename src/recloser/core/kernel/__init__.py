"""The kernel: the one statement of the breaker's rules, in integers.

It knows no clock, no randomness, no files and no floats. Its modules are compiled by Cython, with the
types in their ``.pxd`` files, and run interpreted where there is no compiler; ``RECLOSER_PURE=1`` runs
them interpreted anywhere. Both decide the same:

- Every number fits into 64 bits. Settings with which one might not are rejected when they are made
  (``recloser.core.validation``), and so are such times and numbers when a log is read.
- Divisions round alike, since nothing that is divided here is negative.

Times and durations are in nanoseconds of the log; times never decrease from one event to the next.

Nothing here changes ``State.where``. A function that finds that a rule fires returns the number of the
rule; the caller takes the edge on the declared state machine, which sets ``where``, and calls ``enter``.

| module | what it has |
| --- | --- |
| ``codes`` | the numbers of states, outcomes, rules and answers |
| ``thresholds`` | settings in integers; when counts reach them |
| ``ring``, ``window`` | the last outcomes, and their counts |
| ``kernel_state`` | the state of one breaker |
| ``closed``, ``half_open`` | the rules of a closed and of a half-open breaker |
| ``steps`` | ``decide``, ``advance``, ``step``, ``run``, ``enter`` |
| ``rows``, ``bulk_window`` | events as columns; many outcomes counted at once |
| ``spare`` | how many bad calls come before a rule may fire |
| ``call_columns``, ``call_simulation`` | calls whose starts and ends are known, and ``simulate`` |
| ``branching``, ``retiming`` | copies and keys of states; states moved to other times |
"""

from recloser.core.kernel.branching import assume, key_of, window_key_of
from recloser.core.kernel.call_columns import (
    CallColumns,
    Progress,
    forget_rejected,
    is_let_through,
)
from recloser.core.kernel.call_simulation import simulate, suppose
from recloser.core.kernel.codes import (
    ADMITS_NO_PROBE,
    ADMITTED,
    ALLOWED,
    ASKS_ALL,
    ASKS_OUTCOME,
    ASKS_WINDOW,
    CLOSED,
    CONSECUTIVE_FAILURES,
    COOLDOWN,
    COOLING,
    DISABLED,
    EXHAUSTED,
    FAILED,
    FAILURE_RATE,
    FORCED,
    FUTURE_EPOCH,
    HALF_OPEN,
    HALF_OPEN_TIMEOUT,
    IGNORED,
    IS_DUE,
    NEVER,
    NO_PLACE_FOR_A_PROBE,
    NO_RULE,
    OPEN,
    OTHER,
    PROBE,
    PROBE_FAILED,
    PROBE_SUCCESSES,
    PROBE_TIMEOUT,
    PROBE_WINDOW,
    REJECTED,
    SLOW_CALL_RATE,
    SUCCEEDED,
    UNKNOWN,
    WINDOW_FAILURES,
    WRONG_PROBE_NUMBER,
    OutcomeCode,
)
from recloser.core.kernel.half_open import forget_probes, may_probe
from recloser.core.kernel.kernel_state import Reclosing, State, start_windows
from recloser.core.kernel.retiming import retime
from recloser.core.kernel.ring import Numbers, Ring
from recloser.core.kernel.rows import Buffer, Column, Rows
from recloser.core.kernel.spare import spare_calls
from recloser.core.kernel.steps import (
    IS_COMPILED,
    advance,
    decide,
    enter,
    judge_by,
    reconfigure,
    run,
    step,
)
from recloser.core.kernel.thresholds import Rules, Thresholds, needs_failures
from recloser.core.kernel.window import Window, keeps_until

__all__ = [
    "ADMITS_NO_PROBE",
    "ADMITTED",
    "ALLOWED",
    "ASKS_ALL",
    "ASKS_OUTCOME",
    "ASKS_WINDOW",
    "CLOSED",
    "CONSECUTIVE_FAILURES",
    "COOLDOWN",
    "COOLING",
    "DISABLED",
    "EXHAUSTED",
    "FAILED",
    "FAILURE_RATE",
    "FORCED",
    "FUTURE_EPOCH",
    "HALF_OPEN",
    "HALF_OPEN_TIMEOUT",
    "IGNORED",
    "IS_COMPILED",
    "IS_DUE",
    "NEVER",
    "NO_PLACE_FOR_A_PROBE",
    "NO_RULE",
    "OPEN",
    "OTHER",
    "PROBE",
    "PROBE_FAILED",
    "PROBE_SUCCESSES",
    "PROBE_TIMEOUT",
    "PROBE_WINDOW",
    "REJECTED",
    "SLOW_CALL_RATE",
    "SUCCEEDED",
    "UNKNOWN",
    "WINDOW_FAILURES",
    "WRONG_PROBE_NUMBER",
    "Buffer",
    "CallColumns",
    "Column",
    "Numbers",
    "OutcomeCode",
    "Progress",
    "Reclosing",
    "Ring",
    "Rows",
    "Rules",
    "State",
    "Thresholds",
    "Window",
    "advance",
    "assume",
    "decide",
    "enter",
    "forget_probes",
    "forget_rejected",
    "is_let_through",
    "judge_by",
    "keeps_until",
    "key_of",
    "may_probe",
    "needs_failures",
    "reconfigure",
    "retime",
    "run",
    "simulate",
    "spare_calls",
    "start_windows",
    "step",
    "suppose",
    "window_key_of",
]
