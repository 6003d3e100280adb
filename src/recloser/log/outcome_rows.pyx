# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Reads lines of outcomes into rows of columns, without making events. Compiled only.

Only lines exactly as ``recloser.log.codec`` writes them are read here. Any other line, for example
with an escape in a text or a number out of range, is left to ``msgspec``, which decides what it is. So
this module accepts nothing that ``msgspec`` refuses or reads in another way.
``recloser.history.gathering`` uses this module, and reads events instead where it is missing.
"""

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, strlen

from recloser.log.text_table cimport Text, TextTable, hash_of

from array import array as _array

from recloser.core.events import Reason
from recloser.core.limits import MAX_AT, MAX_COUNT, MAX_SEQ, MAX_WHOLE

cdef enum:
    SUCCEEDED = 0
    FAILED = 1
    IGNORED = 2
    REJECTED = 3
    ADMITTED = 4
    OTHER = 5
    NONE = -1  # also NOT_UTF8 of text_table

cdef uint64_t _MAX_WHOLE = MAX_WHOLE, _MAX_SEQ = MAX_SEQ, _MAX_AT = MAX_AT, _MAX_COUNT = MAX_COUNT

REASONS = list(Reason)
cdef list _REASONS = [reason.value.encode() for reason in REASONS]
cdef array _BYTES = _array("B"), _NUMBERS = _array("q")


cdef struct Row:
    int64_t seq
    int64_t at
    int64_t took
    int64_t epoch
    int64_t probe
    int64_t count
    int32_t breaker
    int32_t text  # index of the error or reason; NONE for none
    int32_t kind


cdef class OutcomeRows:
    """The lines of a log, with outcomes as rows.

    Args:
        seq: The ``seq`` of the line before the first; -1 if the first line may have any.
        at: The time of that line, in nanoseconds of the log.

    Attributes:
        seq, at: The ``seq`` and time of the last line.
        size: Number of rows.
        witnesses: The ``state_changed`` lines.
        others: A tuple for each line that is not an outcome, seal or state change: the index of its
            row, its ``seq``, its time, its breaker if it is a checkpoint whose breaker could be read
            and otherwise None, and the line.
    """

    cdef readonly int64_t seq, at
    cdef readonly Py_ssize_t size
    cdef readonly list witnesses, others
    cdef TextTable _names, _texts
    cdef Row *_rows
    cdef Py_ssize_t _room
    cdef tuple _columns
    cdef Py_ssize_t _column_room

    def __cinit__(self, int64_t seq=0, int64_t at=0):
        self._rows = NULL
        self._room = 0
        self._columns = None
        self._column_room = 0
        self.clear(seq, at)

    def __dealloc__(self):
        PyMem_Free(self._rows)

    cpdef clear(self, int64_t seq, int64_t at):
        """Drop all rows, and continue after the line with this ``seq`` and time."""
        self.seq = seq
        self.at = at
        self.size = 0
        self.witnesses = []
        self.others = []
        self._names = TextTable()
        self._texts = TextTable()

    def mark(self):
        """Return the current position, for ``return_to``."""
        return self.size, self.seq, self.at, len(self.others), len(self.witnesses)

    def return_to(self, tuple mark):
        """Drop the lines that were read after a ``mark``."""
        self.size, self.seq, self.at, others, witnesses = mark
        del self.others[others:], self.witnesses[witnesses:]

    def read(self, bytes lines, Py_ssize_t start=0):
        """Read whole lines of a log, from the byte ``start`` on.

        Returns:
            The number of lines; -1 if none was read, because they are not in order or one does not
            begin as this library writes it.

        Raises:
            ValueError: ``start`` is outside of ``lines``.
        """
        cdef tuple mark = self.mark()
        cdef const char *line = PyBytes_AS_STRING(lines)
        cdef const char *end = line + PyBytes_GET_SIZE(lines)
        if not 0 <= start <= end - line:
            raise ValueError(f"byte {start} is outside of {end - line} bytes")
        # A newline at the end stops every loop over the characters of a line, so none of them has to
        # compare with the end of the bytes.
        cdef bint is_whole = end - line == start or (end - 1)[0] == c"\n"
        cdef Py_ssize_t count = self._read(line + start, end) if is_whole else -1
        if count < 0:
            self.return_to(mark)
        return count

    cdef Py_ssize_t _read(self, const char *line, const char *end) except -2:
        cdef Py_ssize_t count = 0
        cdef const char *rest
        cdef Row *row
        while line < end:
            if self.size == self._room:
                self._grow()
            row = &self._rows[self.size]
            rest = self._outcome(row, line, end)
            if rest is not NULL:
                self.size += 1
            else:
                rest = start_of(row, line, end)
                if rest is NULL:
                    return -1
                rest = <const char *>memchr(rest, c"\n", end - rest) + 1
                self._add_other(row, line, rest)
            # The limits on `seq` leave room below 2**63, so the sum can't overflow.
            if row.seq != self.seq + 1 and self.seq >= 0 or row.at < self.at:
                return -1
            self.seq = row.seq
            self.at = row.at
            line = rest
            count += 1
        return count

    cdef int _grow(self) except -1:
        cdef Py_ssize_t room = 2 * self._room if self._room else 1024
        cdef Row *rows = <Row *>PyMem_Realloc(self._rows, room * sizeof(Row))
        if rows is NULL:
            raise MemoryError
        self._rows = rows
        self._room = room
        return 0

    cdef int _add_other(self, Row *row, const char *line, const char *rest) except -1:
        """Add a line that is not an outcome."""
        if begins(line, rest, b'{"event":"log_sealed",'):
            return 0
        cdef bytes text = PyBytes_FromStringAndSize(line, rest - line)
        if begins(line, rest, b'{"event":"state_changed",'):
            self.witnesses.append(text)
            return 0
        row.kind = OTHER
        row.breaker = row.text = NONE
        row.took = len(self.others)
        row.epoch = row.probe = row.count = 0
        if begins(line, rest, b'{"event":"checkpoint",'):
            self._about(row, line + strlen(b'{"event":"checkpoint"'), rest)
        breaker = None if row.breaker == NONE else self._names.texts[row.breaker]
        self.others.append((self.size, row.seq, row.at, breaker, text))
        self.size += 1
        return 0

    cdef const char *_outcome(self, Row *row, const char *line, const char *end) except? NULL:
        """Read an outcome, and return where its line ends; NULL to leave it to msgspec."""
        cdef const char *rest
        row.probe = 0
        row.count = 1
        row.text = NONE
        if begins(line, end, b'{"event":"call_succeeded",'):
            row.kind = SUCCEEDED
            rest = self._ended(row, line + strlen(b'{"event":"call_succeeded"'), end)
            if begins(rest, end, b',"count":'):
                rest = number(rest + strlen(b',"count":'), _MAX_COUNT, &row.count)
                if row.count < 2:
                    return NULL
        elif begins(line, end, b'{"event":"call_failed",'):
            row.kind = FAILED
            rest = self._ended(row, line + strlen(b'{"event":"call_failed"'), end)
            rest = self._error(row, rest, end)
        elif begins(line, end, b'{"event":"call_rejected",'):
            row.kind = REJECTED
            rest = self._rejected(row, line + strlen(b'{"event":"call_rejected"'), end)
        elif begins(line, end, b'{"event":"probe_admitted",'):
            row.kind = ADMITTED
            row.took = 0
            rest = self._about(row, line + strlen(b'{"event":"probe_admitted"'), end)
            rest = field(rest, end, b',"epoch":', _MAX_WHOLE, &row.epoch)
            rest = field(rest, end, b',"probe":', _MAX_WHOLE, &row.probe)
        elif begins(line, end, b'{"event":"call_ignored",'):
            row.kind = IGNORED
            rest = self._ended(row, line + strlen(b'{"event":"call_ignored"'), end)
            rest = self._error(row, rest, end)
        else:
            return NULL
        if begins(rest, end, b"}\n"):
            return rest + 2
        return NULL

    cdef const char *_about(self, Row *row, const char *rest, const char *end) except? NULL:
        """Read the fields that every event about a breaker has."""
        cdef Text name
        rest = field(rest, end, b',"seq":', _MAX_SEQ, &row.seq)
        rest = field(rest, end, b',"at":', _MAX_AT, &row.at)
        rest = text_field(rest, end, b',"breaker":"', &name)
        if rest is not NULL:
            row.breaker = self._names.index_of(name.start, name.size, name.hash)
            if row.breaker == NONE:
                return NULL
        return rest

    cdef const char *_ended(self, Row *row, const char *rest, const char *end) except? NULL:
        """Read the fields that every outcome of a call has."""
        rest = self._about(row, rest, end)
        rest = field(rest, end, b',"epoch":', _MAX_WHOLE, &row.epoch)
        rest = field(rest, end, b',"took":', _MAX_WHOLE, &row.took)
        if begins(rest, end, b',"probe":'):
            rest = number(rest + strlen(b',"probe":'), _MAX_WHOLE, &row.probe)
            if row.probe < 1:
                return NULL
        return rest

    cdef const char *_error(self, Row *row, const char *rest, const char *end) except? NULL:
        cdef Text error
        if not begins(rest, end, b',"error":"'):
            return rest
        rest = text_field(rest, end, b',"error":"', &error)
        if rest is not NULL:
            row.text = self._texts.index_of(error.start, error.size, error.hash)
            if row.text == NONE:
                return NULL
        return rest

    cdef const char *_rejected(self, Row *row, const char *rest, const char *end) except? NULL:
        cdef Text reason
        row.epoch = 0
        row.took = NONE
        rest = self._about(row, rest, end)
        rest = text_field(rest, end, b',"reason":"', &reason)
        if rest is NULL:
            return NULL
        row.text = reason_of(&reason)
        if row.text == NONE:
            return NULL
        if begins(rest, end, b',"retry_after":'):
            rest = number(rest + strlen(b',"retry_after":'), _MAX_WHOLE, &row.took)
        if begins(rest, end, b',"count":'):
            rest = number(rest + strlen(b',"count":'), _MAX_COUNT, &row.count)
            if row.count < 2:
                return NULL
        return rest

    def name(self, Py_ssize_t row, str breaker):
        """Set the breaker of a row whose line is not an outcome."""
        cdef bytes text = breaker.encode()
        cdef const char *start = PyBytes_AS_STRING(text)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
        if not 0 <= row < self.size:
            raise IndexError(row)
        self._rows[row].breaker = self._names.index_of(start, size, hash_of(start, size))

    def by_breaker(self):
        """Group the rows by breaker, each breaker's in order.

        Returns:
            A tuple of the names of the breakers; the row at which each begins, and the end of the
            last; the columns kind, seq, at, took, epoch, probe and count; and for each row that is
            not an outcome, its row and its index in ``others``. The next call overwrites the columns.
        """
        cdef Py_ssize_t breakers = len(self._names.texts), breaker, index, target
        cdef array starts = clone(_NUMBERS, breakers + 1, True)
        cdef int64_t *ends = <int64_t *>starts.data.as_longlongs
        cdef Row *row
        cdef list others = []
        if self._columns is None or self._column_room < self.size:
            self._column_room = self._room
            self._columns = (
                clone(_BYTES, self._room, True), *[clone(_NUMBERS, self._room, True) for _ in range(6)]
            )
        cdef uint8_t *kinds = (<array>self._columns[0]).data.as_uchars
        cdef int64_t *seqs = <int64_t *>(<array>self._columns[1]).data.as_longlongs
        cdef int64_t *ats = <int64_t *>(<array>self._columns[2]).data.as_longlongs
        cdef int64_t *tooks = <int64_t *>(<array>self._columns[3]).data.as_longlongs
        cdef int64_t *epochs = <int64_t *>(<array>self._columns[4]).data.as_longlongs
        cdef int64_t *probes = <int64_t *>(<array>self._columns[5]).data.as_longlongs
        cdef int64_t *counts = <int64_t *>(<array>self._columns[6]).data.as_longlongs
        for index in range(self.size):
            row = &self._rows[index]
            if row.breaker >= 0:
                ends[row.breaker + 1] += 1
        for breaker in range(breakers):
            ends[breaker + 1] += ends[breaker]
        # A counting sort: `free` is the next free row of each breaker. It starts where the rows of
        # the breaker before end, so each breaker's rows stay in the order of the lines.
        cdef array nexts = starts[:]
        cdef int64_t *free = <int64_t *>nexts.data.as_longlongs
        for index in range(self.size):
            row = &self._rows[index]
            if row.breaker < 0:
                continue
            target = free[row.breaker]
            free[row.breaker] += 1
            kinds[target] = row.kind
            seqs[target] = row.seq
            ats[target] = row.at
            tooks[target] = row.took
            epochs[target] = row.epoch
            probes[target] = row.probe
            counts[target] = row.count
            if row.kind == OTHER:
                others.append((target, row.took))
        others.sort()
        return self._names.texts, starts, self._columns, others

    def row(self, Py_ssize_t index):
        """Return a row as (kind, seq, at, breaker, epoch, took, probe, count, text).

        Rows are in the order of the lines. ``text`` is the error type, the reason, or None.
        """
        if not 0 <= index < self.size:
            raise IndexError(index)
        cdef Row *row = &self._rows[index]
        breaker = None if row.breaker < 0 else self._names.texts[row.breaker]
        text = None
        if row.text >= 0:
            text = REASONS[row.text] if row.kind == REJECTED else self._texts.texts[row.text]
        return row.kind, row.seq, row.at, breaker, row.epoch, row.took, row.probe, row.count, text


cdef int32_t reason_of(Text *reason) except -2:
    cdef bytes known
    cdef int32_t index = 0
    for known in _REASONS:
        if PyBytes_GET_SIZE(known) == reason.size and (
            memcmp(PyBytes_AS_STRING(known), reason.start, reason.size) == 0
        ):
            return index
        index += 1
    return NONE


cdef inline bint begins(const char *rest, const char *end, const char *with_) noexcept:
    cdef Py_ssize_t size = strlen(with_)
    return rest is not NULL and end - rest >= size and memcmp(rest, with_, size) == 0


cdef inline const char *field(
    const char *rest, const char *end, const char *name, uint64_t most, int64_t *into
) noexcept:
    """Read a field with a number, and return where it ends; NULL if it is not the next field."""
    if not begins(rest, end, name):
        return NULL
    return number(rest + strlen(name), most, into)


cdef inline const char *number(const char *rest, uint64_t most, int64_t *into) noexcept:
    """Read a number without sign or leading zeros, and return where it ends; NULL if invalid."""
    cdef const char *start = rest
    cdef uint64_t value = 0
    while c"0" <= rest[0] <= c"9":
        value = value * 10 + <uint64_t>(rest[0] - c"0")
        rest += 1
    # 19 digits fit into 64 bits without a sign, so `value` has not overflowed.
    if rest == start or rest - start > 19 or value > most or (start[0] == c"0" and rest - start > 1):
        return NULL
    into[0] = <int64_t>value
    return rest


cdef inline const char *text_field(
    const char *rest, const char *end, const char *name, Text *into
) noexcept:
    """Read a field with a text without escapes, and return where it ends; NULL if it is not next."""
    if not begins(rest, end, name):
        return NULL
    rest += strlen(name)
    into.start = rest
    while rest[0] != c'"':
        if <uint8_t>rest[0] < 32 or rest[0] == c"\\":
            return NULL
        rest += 1
    into.size = rest - into.start
    into.hash = hash_of(into.start, into.size)
    return rest + 1


cdef const char *start_of(Row *row, const char *line, const char *end) noexcept:
    """Read the kind, seq and time of a line, and return where they end; NULL if they are not there."""
    if not begins(line, end, b'{"event":"'):
        return NULL
    line += strlen(b'{"event":"')
    while c"a" <= line[0] <= c"z" or line[0] == c"_":
        line += 1
    line = field(line, end, b'","seq":', _MAX_SEQ, &row.seq)
    return field(line, end, b',"at":', _MAX_AT, &row.at)
