"""Modules of live breakers in which tests raise, fork or enter again at each point."""

from recloser.live import (
    admission,
    breaker,
    breaker_setup,
    call_counter,
    call_folding,
    call_tokens,
    entry_lock,
    event_recorder,
    fast_path,
    last_permits,
    lock_free_admission,
    lock_free_reports,
    request_queue,
    sequencer,
    session,
)

BREAKER = [breaker, breaker_setup, admission, last_permits, lock_free_admission, lock_free_reports]
FAST_PATH = [fast_path, call_tokens, call_counter]
SEQUENCER = [sequencer, entry_lock, event_recorder, call_folding, request_queue, session]
