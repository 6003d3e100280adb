# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""The lines of outcomes as rows of columns: compiled, where pip could.

``recloser.log.codec`` says how such a line looks. Only lines of exactly the form that it writes are
read here: a line in any other spelling, with an escape in a text or a number out of range, is left to
``msgspec``, which decides what it is. So nothing is accepted here that ``msgspec`` refuses or reads
in another way. ``recloser.history.gathering`` uses this module, and does without it.
"""

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset, strlen

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
    NONE = -1

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
    int32_t text  # of an error or a reason; NONE for none
    int32_t kind


cdef struct Text:
    uint64_t hash
    const char *start
    Py_ssize_t size
    int32_t number


cdef class Texts:
    """Different texts, each of which has a number from 0 up.

    Attributes:
        texts: They, in the order of their numbers.
    """

    cdef readonly list texts
    cdef list _kept
    cdef Text *_places
    cdef Py_ssize_t _mask

    def __cinit__(self):
        self.texts = []
        self._kept = []
        self._mask = 255
        self._places = <Text *>PyMem_Malloc(256 * sizeof(Text))
        if self._places is NULL:
            raise MemoryError
        memset(self._places, 0, 256 * sizeof(Text))

    def __dealloc__(self):
        PyMem_Free(self._places)

    cdef int32_t number_of(self, const char *start, Py_ssize_t size, uint64_t hash) except -2:
        """The number of a text; ``NONE`` where it is not UTF-8."""
        cdef Py_ssize_t place = hash & self._mask
        cdef Text *text
        while True:
            text = &self._places[place]
            if text.start is NULL:
                return self._add(start, size, hash)
            if text.hash == hash and text.size == size and memcmp(text.start, start, size) == 0:
                return text.number
            place = (place + 1) & self._mask

    cdef int32_t _add(self, const char *start, Py_ssize_t size, uint64_t hash) except -2:
        cdef bytes kept = PyBytes_FromStringAndSize(start, size)
        try:
            decoded = kept.decode()
        except UnicodeDecodeError:
            return NONE
        cdef int32_t number = <int32_t>len(self.texts)
        if 2 * number > self._mask:
            self._grow()
        self.texts.append(decoded)
        self._kept.append(kept)
        cdef Text text = Text(hash, PyBytes_AS_STRING(kept), size, number)
        self._put(text)
        return number

    cdef void _put(self, Text text) noexcept:
        cdef Py_ssize_t place = text.hash & self._mask
        while self._places[place].start is not NULL:
            place = (place + 1) & self._mask
        self._places[place] = text

    cdef int _grow(self) except -1:
        cdef Text *before = self._places
        cdef Py_ssize_t place, size = self._mask + 1
        cdef Text *places = <Text *>PyMem_Malloc(4 * size * sizeof(Text))
        if places is NULL:
            raise MemoryError
        memset(places, 0, 4 * size * sizeof(Text))
        self._places = places
        self._mask = 4 * size - 1
        for place in range(size):
            if before[place].start is not NULL:
                self._put(before[place])
        PyMem_Free(before)
        return 0


cdef class OutcomeRows:
    """Lines of a log, those of outcomes as rows.

    Args:
        seq: That of the line before the first; -1 where any may come.
        at: Its time.

    Attributes:
        seq, at: Those of the last line.
        size: How many rows there are.
        witnesses: Each line of a witness.
        others: Each line that is neither an outcome, a seal nor a witness, after its row, its seq
            and its time; and after its breaker, which is None unless it is a checkpoint whose
            breaker could be read.
    """

    cdef readonly int64_t seq, at
    cdef readonly Py_ssize_t size
    cdef readonly list witnesses, others
    cdef Texts _names, _texts
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
        """Drop all rows, and go on after the line that has this ``seq`` and time."""
        self.seq = seq
        self.at = at
        self.size = 0
        self.witnesses = []
        self.others = []
        self._names = Texts()
        self._texts = Texts()

    def mark(self):
        """Where it stands, for ``return_to``."""
        return self.size, self.seq, self.at, len(self.others), len(self.witnesses)

    def return_to(self, tuple mark):
        """Drop what was taken in since it stood there."""
        self.size, self.seq, self.at, others, witnesses = mark
        del self.others[others:], self.witnesses[witnesses:]

    def read(self, bytes lines, Py_ssize_t start=0):
        """Take in whole lines of a log, from the byte ``start`` on.

        Returns:
            How many they are; -1 if nothing was taken in, as they are not in order, or one does not
            begin as the lines that we write.
        """
        cdef tuple mark = self.mark()
        cdef const char *line = PyBytes_AS_STRING(lines)
        cdef const char *end = line + PyBytes_GET_SIZE(lines)
        if not 0 <= start <= end - line:
            raise ValueError(f"{start} is no place in {end - line} bytes")
        # With a newline at the end, no loop over the characters of a line runs past it.
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
                self._keep(row, line, rest)
            # A number of 64 bits may be the last, but none of these can overflow.
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

    cdef int _keep(self, Row *row, const char *line, const char *rest) except -1:
        """Take in a line that is no outcome."""
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
        """Read a line of an outcome; what comes after it. NULL if it is to be left to msgspec."""
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
        """Read what every event about a breaker has."""
        cdef Text name
        rest = field(rest, end, b',"seq":', _MAX_SEQ, &row.seq)
        rest = field(rest, end, b',"at":', _MAX_AT, &row.at)
        rest = text_field(rest, end, b',"breaker":"', &name)
        if rest is not NULL:
            row.breaker = self._names.number_of(name.start, name.size, name.hash)
            if row.breaker == NONE:
                return NULL
        return rest

    cdef const char *_ended(self, Row *row, const char *rest, const char *end) except? NULL:
        """Read what every outcome of a call has."""
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
            row.text = self._texts.number_of(error.start, error.size, error.hash)
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
        """Say which breaker the line of a row is about that is no outcome."""
        cdef bytes text = breaker.encode()
        cdef const char *start = PyBytes_AS_STRING(text)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
        if not 0 <= row < self.size:
            raise IndexError(row)
        self._rows[row].breaker = self._names.number_of(start, size, hash_of(start, size))

    def by_breaker(self):
        """The rows about breakers, those of each together and in their order.

        Returns:
            The names of the breakers; where the rows of each begin, and where the last end; the
            columns: kind, seq, at, took, epoch, probe and count; and for each row that is no
            outcome its place and the index of its line. The next call overwrites the columns.
        """
        cdef Py_ssize_t breakers = len(self._names.texts), breaker, index, place
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
        # Each begins where the one before it ends; when all rows are placed, each end is one.
        cdef array nexts = starts[:]
        cdef int64_t *free = <int64_t *>nexts.data.as_longlongs
        for index in range(self.size):
            row = &self._rows[index]
            if row.breaker < 0:
                continue
            place = free[row.breaker]
            free[row.breaker] += 1
            kinds[place] = row.kind
            seqs[place] = row.seq
            ats[place] = row.at
            tooks[place] = row.took
            epochs[place] = row.epoch
            probes[place] = row.probe
            counts[place] = row.count
            if row.kind == OTHER:
                others.append((place, row.took))
        others.sort()
        return self._names.texts, starts, self._columns, others

    def row(self, Py_ssize_t index):
        """A row in the order of the lines: its kind, seq, at, breaker, epoch, took, probe, count, text."""
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
    """Read a field with a number that comes next; what comes after it, or NULL."""
    if not begins(rest, end, name):
        return NULL
    return number(rest + strlen(name), most, into)


cdef inline const char *number(const char *rest, uint64_t most, int64_t *into) noexcept:
    """Read a whole number without a sign or needless zeros; what comes after it, or NULL."""
    cdef const char *start = rest
    cdef uint64_t value = 0
    while c"0" <= rest[0] <= c"9":
        value = value * 10 + <uint64_t>(rest[0] - c"0")
        rest += 1
    # Of as many digits as this, no number overflows.
    if rest == start or rest - start > 19 or value > most or (start[0] == c"0" and rest - start > 1):
        return NULL
    into[0] = <int64_t>value
    return rest


cdef inline const char *text_field(
    const char *rest, const char *end, const char *name, Text *into
) noexcept:
    """Read a field with a text that comes next and has no escapes; what comes after it, or NULL."""
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


cdef inline uint64_t hash_of(const char *start, Py_ssize_t size) noexcept:
    cdef uint64_t hash = <uint64_t>size, word
    while size >= 8:
        memcpy(&word, start, 8)
        hash = mixed(hash ^ word)
        start += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, start, size)
        hash = mixed(hash ^ word)
    return hash


cdef inline uint64_t mixed(uint64_t word) noexcept:
    word = word * 0x9E3779B97F4A7C15ULL
    return word ^ word >> 32


cdef const char *start_of(Row *row, const char *line, const char *end) noexcept:
    """Read what every line begins with, its kind, seq and time; what comes after them, or NULL."""
    if not begins(line, end, b'{"event":"'):
        return NULL
    line += strlen(b'{"event":"')
    while c"a" <= line[0] <= c"z" or line[0] == c"_":
        line += 1
    line = field(line, end, b'","seq":', _MAX_SEQ, &row.seq)
    return field(line, end, b',"at":', _MAX_AT, &row.at)
