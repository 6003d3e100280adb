# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Compiled encoding of many outcomes as lines, during which other threads go on.

``recloser.log.codec`` defines how such a line looks. If this module is missing because there was no
compiler, ``codec`` makes the same lines, but takes longer and keeps every other thread waiting.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy


cdef struct Text:
    const char *start
    Py_ssize_t size


cdef struct Around:
    Text seq  # the text before the number
    Text at
    Text took
    Text end


cdef struct Block:
    const int64_t *ats
    const int64_t *tooks
    const unsigned char *codes
    Around *around  # of each code
    Py_ssize_t count
    uint64_t seq  # of the first
    char *lines


def outcome_lines(list blocks):
    """Return the lines of each block of outcomes, as a view of bytes.

    Args:
        blocks: For each block, a tuple of the ``seq`` of its first outcome; arrays of 64-bit numbers
            with the ``at`` and the ``took`` of each outcome, in nanoseconds; a code of one byte per
            outcome; and by code the texts before ``seq``, before ``at``, before ``took``, and after
            ``took``.

    Raises:
        OverflowError: A number is below 0.
    """
    cdef Py_ssize_t number, place, texts = 0, count = len(blocks)
    cdef Around *around = NULL
    cdef Block *drafts = NULL
    cdef Block *draft
    cdef const int64_t[::1] ats, tooks
    cdef const unsigned char[::1] codes
    for _, _, _, _, table in blocks:
        texts += len(table)
    owners = []
    try:
        around = <Around *>PyMem_Malloc(max(1, texts) * sizeof(Around))
        drafts = <Block *>PyMem_Malloc(max(1, count) * sizeof(Block))
        if around is NULL or drafts is NULL:
            raise MemoryError
        lines = []
        texts = 0
        for number in range(count):
            seq, ats, tooks, codes, table = blocks[number]
            owners.append((ats, tooks, codes))
            draft = &drafts[number]
            draft.count = ats.shape[0]
            if tooks.shape[0] != draft.count or codes.shape[0] != draft.count or not draft.count:
                raise ValueError("a block has columns of different lengths")
            draft.ats, draft.tooks, draft.codes = &ats[0], &tooks[0], &codes[0]
            draft.seq = seq
            draft.around = around + texts
            for place, (before_seq, before_at, before_took, end) in enumerate(table):
                draft.around[place] = Around(
                    text_of(before_seq), text_of(before_at), text_of(before_took), text_of(end)
                )
            texts += len(table)
            text = PyBytes_FromStringAndSize(NULL, room_of(draft, len(table)))
            draft.lines = PyBytes_AS_STRING(text)
            lines.append(text)
        with nogil:
            for number in range(count):
                write(&drafts[number])
        # No other code has a reference to the bytes yet, so this function may write to them.
        return [
            memoryview(text)[: drafts[number].lines - PyBytes_AS_STRING(text)]
            for number, text in enumerate(lines)
        ]
    finally:
        PyMem_Free(around)
        PyMem_Free(drafts)


cdef Text text_of(bytes text):
    return Text(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef Py_ssize_t room_of(Block *draft, Py_ssize_t texts) except -1:
    """Return an upper bound of the size of a block's lines, in bytes."""
    cdef Py_ssize_t place, longest_text = 0
    cdef int64_t last_at = 0, longest = 0, least = 0
    cdef Around *around
    for place in range(draft.count):
        last_at = max(last_at, draft.ats[place])
        longest = max(longest, draft.tooks[place])
        least = min(least, min(draft.ats[place], draft.tooks[place]))
        if draft.codes[place] >= texts:
            raise ValueError("a block lacks a text")
    if least < 0:
        raise OverflowError("a number is below 0")
    for place in range(texts):
        around = &draft.around[place]
        longest_text = max(
            longest_text, around.seq.size + around.at.size + around.took.size + around.end.size
        )
    return draft.count * (
        longest_text + digits_of(draft.seq + draft.count) + digits_of(last_at) + digits_of(longest)
    )


cdef int digits_of(uint64_t number) noexcept nogil:
    cdef int digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


cdef void write(Block *draft) noexcept nogil:
    """Write the lines of a block, and set ``draft.lines`` to their end."""
    cdef Py_ssize_t place
    cdef uint64_t seq = draft.seq
    cdef char *end = draft.lines
    cdef Around *around
    for place in range(draft.count):
        around = &draft.around[draft.codes[place]]
        end = put_text(end, around.seq)
        end = put_number(end, seq)
        end = put_text(end, around.at)
        end = put_number(end, draft.ats[place])
        end = put_text(end, around.took)
        end = put_number(end, draft.tooks[place])
        end = put_text(end, around.end)
        seq += 1
    draft.lines = end


cdef inline char *put_text(char *end, Text text) noexcept nogil:
    memcpy(end, text.start, text.size)
    return end + text.size


cdef inline char *put_number(char *end, uint64_t number) noexcept nogil:
    cdef char[20] digits  # as many as 64 bits can have
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char>(c"0" + number % 10)
        number //= 10
        if number == 0:
            break
    memcpy(end, &digits[first], 20 - first)
    return end + 20 - first
