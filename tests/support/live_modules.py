"""Modules of live breakers in which tests raise, fork or call again at each interruptible point."""

from recloser.live import (
    admission,
    breaker,
    breaker_setup,
    call_counter,
    call_folding,
    call_tokens,
    disk_lock,
    disk_writer,
    entry_lock,
    event_log,
    event_recorder,
    fast_path,
    last_permits,
    lock_free_admission,
    lock_free_reports,
    log_folder,
    request_queue,
    sequencer,
    session,
    write_pacing,
    writer_thread,
)

BREAKER = [breaker, breaker_setup, admission, last_permits, lock_free_admission, lock_free_reports]
FAST_PATH = [fast_path, call_tokens, call_counter]
EVENT_LOG = [event_log, disk_lock, disk_writer, log_folder, write_pacing, writer_thread]
SEQUENCER = [sequencer, entry_lock, event_recorder, call_folding, request_queue, session]
