"""Writes a whole log of observed calls at once, as fast as the disk accepts it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from recloser.core.events import FORMAT_VERSION, RULES_VERSION, CallObserved, LogOpened, LogSealed
from recloser.core.moments import after
from recloser.errors import LogError
from recloser.log import disk
from recloser.log.appender import Appender
from recloser.log.codec import encode_all
from recloser.log.folder_lock import FolderLock
from recloser.log.open_errors import open_failure
from recloser.log.retention import Retention
from recloser.log.seals import SEAL_EVERY
from recloser.log.tail import Tail
from recloser.version import __version__

SEGMENT_BYTES: Final = 8 << 20


class Recording:
    """A new log that holds observed calls and no breakers, written by one thread.

    ``EventLog`` is for a live service: it folds every event and never delays a caller. Here no
    caller waits and nothing is folded, so a call costs only its line and its share of a seal. The
    files have the same format. A log that can't be finished is removed.

    Args:
        folder: The log's folder, which must not exist.
        wall: The wall time at which the log's time is 0.

    Attributes:
        next_seq: The ``seq`` that the next call must have.
        room: Number of calls that can be added before the next seal.

    Raises:
        LogError: The folder can't be created.
    """

    def __init__(self, folder: Path, wall: datetime) -> None:
        self._folder = folder
        self._wall = wall
        self._at = 0
        self.next_seq = 1
        self.room = 0
        self._retention = Retention(compress_bytes=SEGMENT_BYTES, keep_bytes=None, keep_ns=None)
        self._appender = Appender(
            folder, Tail(), 0, number=0, durability="batch", on_begun=self._retention.set_due
        )
        try:
            self._appender.unsynced_folders = disk.make_folder(folder, may_exist=False)
            self._lock = FolderLock(folder)
        except OSError as error:
            raise LogError(open_failure(folder, error)) from error

    def __enter__(self) -> Self:
        with self._removed_on_error():
            self._begin_segment()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._removed_on_error():
            if kind is None:
                self._finish()
        if kind is not None:
            self._remove()
        self._lock.release()

    def put(self, calls: Sequence[CallObserved]) -> None:
        """Append calls, at most ``room``, in the order of their ``at``.

        Args:
            calls: Calls in their lean form, numbered from ``next_seq`` on.

        Raises:
            LogError: The calls can't be written; the log is removed.
        """
        if not calls:
            return
        with self._removed_on_error():
            self._appender.append(calls, encode_all(calls))
            self._at = calls[-1].at
            self.next_seq += len(calls)
            self.room -= len(calls)
            if self.room <= 0:
                self._seal()
                self._appender.flush(is_sync_due=False)
                if self._appender.is_full(self._at, full_bytes=SEGMENT_BYTES, full_ns=None):
                    self._begin_segment()

    def _begin_segment(self) -> None:
        header = LogOpened(
            seq=self.next_seq,
            at=self._at,
            format=FORMAT_VERSION,
            rules=RULES_VERSION,
            session=1,
            wall=after(self._wall, self._at),
            monotonic=self._at,
            boot_id="",
            host="",
            pid=os.getpid(),
            library=__version__,
        )
        self._appender.append((header,), ())
        self.next_seq += 1
        self.room = SEAL_EVERY - 1
        self._retention.start_if_due(self._folder, self._at, self._appender.number)

    def _seal(self) -> None:
        self._appender.append((LogSealed(self.next_seq, self._at, 0, ""),), ())
        self.next_seq += 1
        self.room = SEAL_EVERY

    def _finish(self) -> None:
        if self.room < SEAL_EVERY:
            self._seal()
        self._appender.flush(is_sync_due=True)
        self._appender.close()
        self._retention.run_to_end(self._folder, self._at, self._appender.number)

    @contextmanager
    def _removed_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._remove()
            raise LogError(
                f"{self._folder}: the log can't be written: {error.strerror or error}"
            ) from error

    def _remove(self) -> None:
        self._appender.close()
        shutil.rmtree(self._folder, ignore_errors=True)
