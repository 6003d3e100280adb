# Types of text_table.pyx, and the hash of its texts, for modules that are compiled with it.

from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    NOT_UTF8 = -1


cdef struct Text:
    uint64_t hash
    const char *start
    Py_ssize_t size
    int32_t index


cdef class TextTable:
    cdef readonly list texts
    cdef list _encoded
    cdef Text *_slots
    cdef Py_ssize_t _mask

    cdef int32_t index_of(self, const char *start, Py_ssize_t size, uint64_t hash) except -2
    cdef int32_t _add(self, const char *start, Py_ssize_t size, uint64_t hash) except -2
    cdef void _put(self, Text text) noexcept
    cdef int _grow(self) except -1


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
