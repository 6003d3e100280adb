# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The lines of many successes, put together while other threads go on: compiled, where pip could.

``recloser.log.codec`` is what says how such a line looks. Where this module is missing it makes the
same lines, but takes twice as long and has every other thread wait.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef struct Text:
    const char *start
    Py_ssize_t size


cdef struct Call:
    uint64_t at
    uint64_t took
    Text between  # what stands between the two


cdef struct Block:
    Call *calls
    Py_ssize_t count
    uint64_t seq  # of the first
    char *lines


def success_lines(tuple form, list blocks):
    """The lines of each block of successes, as bytes that are kept by a view.

    Args:
        form: What stands before ``seq``, between ``seq`` and ``at``, and behind ``took``.
        blocks: Of each the ``seq`` of its first success; of all the ``at`` and the ``took``, in
            nanoseconds; and what stands between those two, once if that is the same for all.

    Raises:
        OverflowError: A number is below 0 or has more than 64 bits.
    """
    cdef Py_ssize_t count = 0, number, room
    cdef Call *calls = NULL
    cdef Block *drafts = NULL
    cdef Block *draft
    cdef Text[3] around
    for number in range(3):
        around[number] = text_of(form[number])
    for _, ats, _, _ in blocks:
        count += len(ats)
    try:
        calls = <Call *>PyMem_Malloc(count * sizeof(Call))
        drafts = <Block *>PyMem_Malloc(len(blocks) * sizeof(Block))
        if calls is NULL or drafts is NULL:
            raise MemoryError
        lines = []
        count = 0
        for number, (seq, ats, tooks, between) in enumerate(blocks):
            draft = &drafts[number]
            draft.calls = calls + count
            draft.count = len(ats)
            draft.seq = seq
            room = read_calls(draft, around, ats, tooks, between)
            count += draft.count
            text = PyBytes_FromStringAndSize(NULL, room)
            draft.lines = PyBytes_AS_STRING(text)
            lines.append(text)
        number = len(blocks)
        with nogil:
            write_all(drafts, number, around)
        # Nobody has seen the bytes yet, so they may still have been written to.
        return [
            memoryview(text)[: drafts[number].lines - PyBytes_AS_STRING(text)]
            for number, text in enumerate(lines)
        ]
    finally:
        PyMem_Free(calls)
        PyMem_Free(drafts)


cdef Text text_of(bytes text):
    return Text(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef Py_ssize_t read_calls(
    Block *draft, Text *around, list ats, list tooks, list between
) except -1:
    """Take in the calls of a block, and tell how many bytes their lines take at most."""
    cdef Py_ssize_t place, count = draft.count, room = 0
    cdef uint64_t last_at = 0, longest = 0
    cdef Call *call = draft.calls
    cdef Text text
    if len(tooks) != count or len(between) not in (1, count):
        raise ValueError("a block has lists of different lengths")
    cdef bint is_of_many = len(between) == count
    for place in range(count):
        if place == 0 or is_of_many:
            text = text_of(between[place])
        call.at = ats[place]
        call.took = tooks[place]
        call.between = text
        last_at = max(last_at, call.at)
        longest = max(longest, call.took)
        room += text.size
        call += 1
    room += count * (around[0].size + around[1].size + around[2].size)
    return room + count * (digits_of(draft.seq + count) + digits_of(last_at) + digits_of(longest))


cdef int digits_of(uint64_t number) noexcept nogil:
    cdef int digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


cdef void write_all(Block *drafts, Py_ssize_t blocks, Text *around) noexcept nogil:
    cdef Py_ssize_t number
    for number in range(blocks):
        drafts[number].lines = write(&drafts[number], around)


cdef char *write(Block *draft, Text *around) noexcept nogil:
    """Write the lines of a block, and tell where they end."""
    cdef Py_ssize_t place
    cdef uint64_t seq = draft.seq
    cdef char *end = draft.lines
    cdef Call *call = draft.calls
    for place in range(draft.count):
        end = put_text(end, around[0])
        end = put_number(end, seq)
        end = put_text(end, around[1])
        end = put_number(end, call.at)
        end = put_text(end, call.between)
        end = put_number(end, call.took)
        end = put_text(end, around[2])
        seq += 1
        call += 1
    return end


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
